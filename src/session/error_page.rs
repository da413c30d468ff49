//! Which answer stands for an error status (manual, section 4.2 `errorfile`, `errorloc`).

use crate::http::reply::Reply;
use crate::model::Proxy;
use crate::model::proxy::ErrorPage;
use crate::rules::reply::Built;
use crate::sample::Context;

/// The page configured for `status`: the backend's own if it has one, else the frontend's.
fn page<'a>(frontend: &'a Proxy, backend: &'a Proxy, status: u16) -> Option<&'a ErrorPage> {
    [backend, frontend].into_iter().find_map(|proxy| proxy.error_pages.get(&status)).map(|page| &**page)
}

/// As [`find`], for a transaction: answers with formats in them (`http-error ... lf-string`) are made
/// for it.
pub fn find_in(frontend: &Proxy, backend: &Proxy, status: u16, context: &Context<'_>) -> Reply {
    match page(frontend, backend, status) {
        Some(ErrorPage::Reply(spec)) => match spec.build(context) {
            Built::Own(reply) => *reply,
            Built::ErrorPage => Reply::error(status),
        },
        _ => find(frontend, backend, status),
    }
}

/// The answer for `status`: the backend's own page if it has one, else the frontend's, else the
/// built-in one. A listen, or a request whose backend is not known yet, passes the frontend twice.
/// Where there is no transaction, answers made for one ([`find_in`]) give way to the built-in one.
pub fn find(frontend: &Proxy, backend: &Proxy, status: u16) -> Reply {
    match page(frontend, backend, status) {
        None | Some(ErrorPage::Reply(_)) => Reply::error(status),
        Some(ErrorPage::File(bytes)) => Reply { status, raw: Some(bytes.clone()), ..Reply::default() },
        Some(ErrorPage::Location { code, location }) => Reply {
            status: *code,
            fields: vec![
                (b"cache-control".to_vec(), b"no-cache".to_vec()),
                (b"location".to_vec(), location.as_bytes().to_vec()),
            ],
            ..Reply::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing;

    #[test]
    fn the_backend_comes_first() {
        let (mut frontend, mut backend) = (testing::proxy("fe"), testing::proxy("be"));
        let file = |text: &str| ErrorPage::File(text.as_bytes().into()).into();
        frontend.error_pages.insert(503, file("front"));
        frontend.error_pages.insert(403, file("front"));
        backend.error_pages.insert(503, file("back"));
        let location = ErrorPage::Location { code: 303, location: "/sorry".into() };
        backend.error_pages.insert(500, location.into());
        let raw = |status| find(&frontend, &backend, status).raw.map(|bytes| bytes.to_vec());
        assert_eq!(raw(503), Some(b"back".to_vec()));
        assert_eq!(raw(403), Some(b"front".to_vec()));
        assert_eq!(raw(400), None);
        assert_eq!(find(&frontend, &backend, 400), Reply::error(400));
        let moved = find(&frontend, &backend, 500);
        assert_eq!(moved.status, 303);
        assert!(moved.fields.contains(&(b"location".to_vec(), b"/sorry".to_vec())));
    }
}
