//! Which known name a misspelt one may have meant.

/// Up to three of `known` that look like `asked`, the nearest first.
pub fn nearest(asked: &str, known: impl IntoIterator<Item = String>) -> Vec<String> {
    nearest_by(asked, known.into_iter().map(|name| (name.clone(), name)))
}

/// As [`nearest`] for pairs of what is compared and what is shown.
pub fn nearest_by(asked: &str, known: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    let mut near: Vec<(usize, String)> = known.into_iter().map(|(name, shown)| (distance(asked, &name), shown)).collect();
    near.retain(|(distance, _)| *distance <= 1 + asked.chars().count() / 4);
    near.sort();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// The question for the hint; `None` where nothing is near.
pub fn question(near: &[String]) -> Option<String> {
    (!near.is_empty()).then(|| format!("did you mean `{}`?", near.join("` or `")))
}

/// The edit distance of Levenshtein, without regard to case.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits() {
        for (a, b, expected) in [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("Llama", "llama", 0), ("é", "e", 1)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }
}
