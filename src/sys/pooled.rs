//! A boxed future whose memory comes from the thread's own stock: each request makes one of the same size,
//! and neither making nor dropping it should ask the allocator.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

/// Free allocations of a thread. All have one layout: the first that was given back.
struct Stock {
    layout: Layout,
    rooms: Vec<NonNull<u8>>,
}

/// Free allocations that a thread keeps; as many exchanges can be in progress without the allocator.
const ROOMS_MAX: usize = 256;

thread_local! {
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock { layout: Layout::new::<()>(), rooms: Vec::new() }) };
}

impl Drop for Stock {
    fn drop(&mut self) {
        for room in self.rooms.drain(..) {
            // SAFETY: the memory was allocated with this layout and has no other owner.
            unsafe { dealloc(room.as_ptr(), self.layout) };
        }
    }
}

/// A future in an allocation of its own. It stays on its thread.
pub struct Pooled<F> {
    /// Points at a future that was written there and not dropped since.
    future: NonNull<F>,
    of_thread: PhantomData<*mut F>,
}

impl<F> Pooled<F> {
    const LAYOUT: Layout = Layout::new::<F>();

    /// Puts the future that `make` gives into an allocation, without moving it through the stack where the
    /// compiler can avoid that.
    #[inline]
    pub fn new(make: impl FnOnce() -> F) -> Pooled<F> {
        const { assert!(size_of::<F>() > 0) };
        let stocked = STOCK.with(|stock| {
            let mut stock = stock.borrow_mut();
            if stock.layout == Self::LAYOUT { stock.rooms.pop() } else { None }
        });
        // SAFETY: the layout is not of size 0, as the assertion above proves.
        let room = stocked.or_else(|| NonNull::new(unsafe { alloc(Self::LAYOUT) }));
        let Some(room) = room else { handle_alloc_error(Self::LAYOUT) };
        let future = room.cast::<F>();
        // SAFETY: the memory has the size and alignment of `F`, and it is ours alone. Should `make` panic,
        // the memory is lost and nothing is dropped that was not written.
        unsafe { future.write(make()) };
        Pooled { future, of_thread: PhantomData }
    }
}

impl<F: Future> Future for Pooled<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` holds a live future (see the field); it does not move until it is dropped in
        // its place, so that it may be pinned, and the exclusive borrow of `self` makes this one exclusive.
        unsafe { Pin::new_unchecked(self.get_mut().future.as_mut()) }.poll(context)
    }
}

impl<F> Drop for Pooled<F> {
    fn drop(&mut self) {
        /// Gives the memory back even if the future's own drop panics.
        struct Room(NonNull<u8>, Layout);
        impl Drop for Room {
            fn drop(&mut self) {
                let kept = STOCK.try_with(|stock| {
                    let mut stock = stock.borrow_mut();
                    if stock.rooms.is_empty() {
                        stock.layout = self.1;
                    }
                    let keeps = stock.layout == self.1 && stock.rooms.len() < ROOMS_MAX;
                    if keeps {
                        stock.rooms.push(self.0);
                    }
                    keeps
                });
                if kept != Ok(true) {
                    // SAFETY: the memory was allocated with this layout, and its future is dropped.
                    unsafe { dealloc(self.0.as_ptr(), self.1) };
                }
            }
        }
        let _room = Room(self.future.cast(), Self::LAYOUT);
        // SAFETY: it is live until here, and is not used afterwards.
        unsafe { self.future.drop_in_place() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;
    use std::task::Waker;

    fn rooms() -> usize {
        STOCK.with_borrow(|stock| stock.rooms.len())
    }

    async fn counted(one: Rc<()>, yields: bool) -> usize {
        let mut left = u32::from(yields);
        std::future::poll_fn(|_| match std::mem::replace(&mut left, 0) {
            0 => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
        Rc::strong_count(&one)
    }

    #[test]
    fn futures_run_are_dropped_once_and_leave_their_room() {
        let one = Rc::new(());
        let mut context = Context::from_waker(Waker::noop());
        let mut first = Pooled::new(|| counted(one.clone(), true));
        let mut second = Pooled::new(|| counted(one.clone(), false));
        assert!(Pin::new(&mut first).poll(&mut context).is_pending());
        assert_eq!(Pin::new(&mut second).poll(&mut context), Poll::Ready(3));
        assert_eq!(
            Pin::new(&mut first).poll(&mut context),
            Poll::Ready(2),
            "the other's has gone with its end"
        );
        drop((first, second));
        assert_eq!((Rc::strong_count(&one), rooms()), (1, 2));
        let unfinished = Pooled::new(|| counted(one.clone(), true));
        assert_eq!(rooms(), 1, "a free room is used again");
        drop(unfinished);
        assert_eq!((Rc::strong_count(&one), rooms()), (1, 2), "one that never ran as well");
        drop(Pooled::new(|| std::future::ready(7u8)));
        assert_eq!(rooms(), 2, "another size goes back to the allocator");
    }

    #[test]
    fn a_panic_while_dropping_keeps_the_room() {
        struct Bad;
        impl Drop for Bad {
            fn drop(&mut self) {
                panic!("on purpose");
            }
        }
        let future = Pooled::new(|| async {
            let _bad = Bad;
            std::future::pending::<()>().await;
        });
        let mut future = future;
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(future)));
        assert!(dropped.is_err());
        assert_eq!(rooms(), 1);
    }
}
