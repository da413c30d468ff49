//! Whether the data threads have CPUs of their own, as `nbthread` and `cpu-map` deal them out.

use std::collections::BTreeSet;

use crate::diag::{Report, Span};
use crate::model::Global;

/// Warns of threads that must share a CPU. `usable` CPUs may be used by the process.
pub(super) fn look(global: &Global, usable: usize, report: &mut Report) {
    let threads = global.nbthread.unwrap_or(usable).max(1);
    let cpus_of = |thread: usize| {
        let mapped = global.cpu_map.iter().find(|(mapped, cpus)| *mapped == thread && !cpus.is_empty());
        mapped.map(|(_, cpus)| cpus)
    };
    let mapped: Vec<&Vec<usize>> = (1..=threads).filter_map(cpus_of).collect();
    let cpus = mapped.iter().copied().flatten().collect::<BTreeSet<_>>().len();
    let (bound, free) = (mapped.len(), threads - mapped.len());
    let (message, help) = if bound > 0 && free > 0 {
        (
            format!("'cpu-map' maps {bound} threads to CPUs and leaves {free} without"),
            "map all threads or none: the others may run on the same CPUs",
        )
    } else if bound > cpus {
        (
            format!("'cpu-map' maps {bound} threads to {cpus} CPUs"),
            "threads on one CPU wait for each other: name more CPUs, or set 'nbthread' accordingly",
        )
    } else if bound == 0 && threads > usable && usable > 0 {
        (
            format!("{threads} threads run on {usable} CPUs"),
            "threads on one CPU wait for each other: set 'nbthread' accordingly",
        )
    } else {
        return;
    };
    report.warning(Span::NONE, message).help(help);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_share_a_cpu_are_warned_of() {
        for (nbthread, map, expected) in [
            (None, &[][..], None),
            (Some(2), &[], None),
            (Some(3), &[], Some("3 threads run on 2 CPUs")),
            (Some(2), &[(1, vec![0]), (2, vec![1])], None),
            (Some(2), &[(1, vec![0, 1]), (2, vec![0, 1])], None),
            (Some(2), &[(1, vec![0]), (2, vec![0])], Some("maps 2 threads to 1 CPUs")),
            (Some(2), &[(1, vec![0])], Some("maps 1 threads to CPUs and leaves 1 without")),
            (None, &[(1, vec![0]), (2, vec![1]), (3, vec![2])], None),
        ] {
            let global = Global { nbthread, cpu_map: map.to_vec(), ..Global::default() };
            let mut report = Report::default();
            look(&global, 2, &mut report);
            let found = report.diagnostics.first().map(|found| found.message.as_str());
            assert_eq!(found.is_some(), expected.is_some(), "{nbthread:?} {map:?}: {found:?}");
            assert!(expected.is_none_or(|text| found.is_some_and(|found| found.contains(text))), "{found:?}");
        }
    }
}
