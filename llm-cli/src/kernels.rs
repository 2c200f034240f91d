//! Counts which kernel ran each operation on which backend, for `-v`.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The target of the events that operations emit.
const TARGET: &str = "llm::ops";

/// A layer that counts the events of [`TARGET`] by operation, backend and kernel; clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct KernelCounter {
    counts: Arc<Mutex<BTreeMap<Call, u64>>>,
}

/// One way in which an operation ran.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    op: String,
    backend: String,
    kernel: String,
}

impl KernelCounter {
    /// The counts as lines of text.
    pub fn table(&self) -> String {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = String::from("kernels that ran: operation, backend, kernel, calls");
        for (call, count) in counts.iter() {
            // Writing to a string cannot fail.
            let _ = write!(table, "\n  {:<12} {:<10} {:<12} {count:>9}", call.op, call.backend, call.kernel);
        }
        if counts.is_empty() {
            table.push_str("\n  none");
        }
        table
    }
}

impl<S: Subscriber> Layer<S> for KernelCounter {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == TARGET
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut call = Call::default();
        event.record(&mut call);
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(call).or_default() += 1;
    }
}

impl Visit for Call {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "op" => self.op = value.to_owned(),
            "backend" => self.backend = value.to_owned(),
            "kernel" => self.kernel = value.to_owned(),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn calls_are_counted_by_kernel() {
        let counter = KernelCounter::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(counter.clone()), || {
            for kernel in ["dot", "gemm", "dot"] {
                tracing::trace!(target: "llm::ops", op = "linear", backend = "flex", kernel);
            }
            tracing::trace!(target: "elsewhere", op = "other");
        });
        let table = counter.table();
        let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows, [["linear", "flex", "dot", "2"], ["linear", "flex", "gemm", "1"]]);
    }
}
