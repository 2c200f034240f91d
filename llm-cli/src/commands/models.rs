//! `llm models`: what is kept of models on this machine.

use std::io::Write;
use std::time::{Duration, SystemTime};

use llm_infer::checkpoint::{CacheEntry, PackedCache};
use serde_json::json;

use super::{Environment, print_json};
use crate::args::{CacheArgs, ModelsArgs, ModelsCommand};
use crate::models;
use crate::ui::{Failure, plain, size};

pub fn run(args: &ModelsArgs, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    match &args.command {
        ModelsCommand::Cache(args) => cache(args, environment, out),
    }
}

fn cache(args: &CacheArgs, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    let nowhere = || Failure::io("cache: there is no folder for it").with_hint("name one in `LLM_CACHE`");
    let cache = models::packed_cache()?.ok_or_else(nowhere)?;
    let entries = if args.clear { cache.clear()? } else { cache.entries()? };
    if environment.common.json {
        print_json(&as_json(&cache, &entries, args.clear), out)
    } else {
        Ok(print(&cache, &entries, args.clear, out)?)
    }
}

fn as_json(cache: &PackedCache, entries: &[CacheEntry], cleared: bool) -> serde_json::Value {
    let files = entries.iter().map(|entry| {
        let last_used = entry.last_used.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        json!({"file": entry.path, "model": entry.model, "format": entry.format, "bytes": entry.bytes, "last_used": last_used})
    });
    let (files, bytes) = (files.collect::<Vec<_>>(), total(entries));
    json!({"folder": cache.folder(), "limit_bytes": cache.limit(), "cleared": cleared, "bytes": bytes, "entries": files})
}

fn print(cache: &PackedCache, entries: &[CacheEntry], cleared: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let shown = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), plain);
    let width = entries.iter().map(|entry| shown(&entry.model).chars().count()).chain([5]).max().unwrap_or(0);
    if !entries.is_empty() {
        writeln!(out, "{:<width$}  {:<15} {:>10}  last used", "model", "format", "size")?;
    }
    for entry in entries {
        let age = entry.last_used.elapsed().unwrap_or_default();
        writeln!(out, "{:<width$}  {:<15} {:>10}  {}", shown(&entry.model), shown(&entry.format), size(entry.bytes), ago(age))?;
    }
    let (folder, files) = (plain(&cache.folder().to_string_lossy()), if entries.len() == 1 { "file" } else { "files" });
    let gap = if entries.is_empty() { "" } else { "\n" };
    let rest = if cleared { "removed".to_owned() } else { format!("of at most {}", size(cache.limit())) };
    writeln!(out, "{gap}{folder}: {} {files}, {} {rest}", entries.len(), size(total(entries)))
}

fn total(entries: &[CacheEntry]) -> u64 {
    entries.iter().map(|entry| entry.bytes).sum()
}

/// How long ago something was, in its largest unit.
fn ago(age: Duration) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let found = units.iter().find_map(|(seconds, name)| Some((age.as_secs() / seconds, name)).filter(|(count, _)| *count > 0));
    found.map_or_else(|| "just now".to_owned(), |(count, name)| format!("{count} {name}{} ago", if count == 1 { "" } else { "s" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let ages = [0, 59, 60, 7_199, 86_400, 200_000].map(|seconds| ago(Duration::from_secs(seconds)));
        assert_eq!(ages, ["just now", "just now", "1 minute ago", "1 hour ago", "1 day ago", "2 days ago"]);
    }
}
