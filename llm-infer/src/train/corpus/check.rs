//! What makes an answer right.

use super::story;

/// The words of numbers, at their own index.
pub(super) const NUMBERS: [&str; 21] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];

/// What an answer must hold to count as right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// The last number is `right`, and before it stand only the numbers `mentioned` in the question.
    Number {
        /// The result.
        right: u32,
        /// Numbers that an answer may repeat.
        mentioned: Vec<u32>,
    },
    /// The answer consists of exactly these letters or numbers, in order, whatever stands between them.
    Sequence(Vec<String>),
    /// Every phrase of `right` occurs as whole words, and no phrase of `wrong`.
    Words {
        /// What must be said.
        right: Vec<String>,
        /// Answers to neighboring questions.
        wrong: Vec<String>,
    },
    /// A story of at least four sentences that holds each of these things and ends as stories do.
    Story {
        /// The nouns asked for.
        things: Vec<String>,
    },
}

impl Check {
    /// Accepts a result, perhaps after the numbers of the question.
    pub(super) fn number(right: u32, mentioned: &[u32]) -> Self {
        Self::Number { right, mentioned: mentioned.to_vec() }
    }

    /// Accepts an answer that says all of `right`.
    pub(super) fn says(right: &[&str]) -> Self {
        Self::Words { right: right.iter().map(|&word| word.to_owned()).collect(), wrong: Vec::new() }
    }

    /// Accepts `right` and none of the `others`, save those that the question itself may bring in.
    pub(super) fn one_of<'a>(right: &str, others: impl IntoIterator<Item = &'a str>, mentioned: &[&str]) -> Self {
        let rival = |other: &&str| !holds(&words(right), other) && !mentioned.iter().any(|&said| holds(&words(said), other));
        let wrong = others.into_iter().filter(rival).map(str::to_owned).collect();
        Self::Words { right: vec![right.to_owned()], wrong }
    }

    /// Whether `answer` is right.
    pub fn accepts(&self, answer: &str) -> bool {
        let said = words(answer);
        match self {
            Self::Number { right, mentioned } => {
                let numbers: Vec<u32> = said.iter().filter_map(|word| number(word)).collect();
                numbers.last() == Some(right) && numbers.iter().all(|n| n == right || mentioned.contains(n))
            }
            Self::Sequence(items) => said == *items,
            Self::Words { right, wrong } => {
                right.iter().all(|phrase| holds(&said, phrase)) && !wrong.iter().any(|phrase| holds(&said, phrase))
            }
            Self::Story { things } => story::is_story(answer) && things.iter().all(|thing| said.iter().any(|word| is_form_of(word, thing))),
        }
    }
}

/// The words of a text in lower case, without punctuation.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether `phrase` occurs in `said` as whole words.
fn holds(said: &[String], phrase: &str) -> bool {
    let phrase = words(phrase);
    !phrase.is_empty() && said.windows(phrase.len()).any(|window| window == phrase)
}

/// The value of a number in digits or in a word.
fn number(word: &str) -> Option<u32> {
    word.parse().ok().or_else(|| NUMBERS.iter().position(|&name| name == word).and_then(|n| u32::try_from(n).ok()))
}

/// Whether `word` is `thing` or its regular plural.
fn is_form_of(word: &str, thing: &str) -> bool {
    word.strip_prefix(thing).is_some_and(|end| matches!(end, "" | "s" | "es"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_accept_the_result_and_nothing_else() {
        let check = Check::number(7, &[3, 4]);
        assert!(check.accepts("3 + 4 = 7.") && check.accepts("Seven!") && check.accepts("three plus four is seven"));
        assert!(!check.accepts("3 + 4 = 8.") && !check.accepts("7 or 8") && !check.accepts("3 + 5 = 7.") && !check.accepts(""));
    }

    #[test]
    fn words_accept_the_answer_and_no_rival() {
        let check = Check::one_of("cold", ["hot", "cold", "small"], &["hot"]);
        assert!(check.accepts("The opposite of hot is cold.") && !check.accepts("cold or small") && !check.accepts("colder"));
    }

    #[test]
    fn sequences_are_exact() {
        let check = Check::Sequence(["c", "a", "t"].map(str::to_owned).to_vec());
        assert!(check.accepts("c-a-t.") && check.accepts("C A T") && !check.accepts("c-a-t-s.") && !check.accepts("cat"));
    }

    #[test]
    fn stories_hold_what_was_asked() {
        let check = Check::Story { things: vec!["dog".into(), "ball".into()] };
        assert!(check.accepts("There was a dog. He had two balls. He was glad. The end."));
        assert!(!check.accepts("There was a dog. He ran. He was glad. The end.") && !check.accepts("A dog and a ball. The end."));
    }
}
