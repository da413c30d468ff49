//! Stick tables: forgets what expired, so that a table without new entries gives its
//! memory back and reads as what it is.
//!
//! Finding and making entries does not wait for this: there an entry that is over counts as gone.

use std::rc::Rc;
use std::time::Duration;

use super::Control;
use crate::base::clock;

/// The time between two sweeps: expiry is told in milliseconds, but memory may wait this long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Sweeps the tables of the model in force for ever.
pub async fn run(control: Rc<Control>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let model = control.model();
        for table in model.tables() {
            table.sweep(clock::read().millis());
            tokio::task::yield_now().await;
        }
    }
}
