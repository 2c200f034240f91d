//! Words letter by letter: spelling, first and last letter, how many letters.
//!
//! A hyphen between two letters makes each a token of its own, whatever the vocabulary.

use super::topic::{Fact, Topic};
use super::wording::{Wording, clause, noun, nouns, question, request, unseen};
use super::{Check, Kind};

/// The words that the model can spell.
const WORDS: &str = "ant apple arm baby bag ball bear bed bee big bird blue boat book box boy bread bus cake cap car cat chair clock \
    cloud coat cold cow cup dad day dog doll door duck ear egg eye farm fast fish flag fly foot fox frog game girl \
    goat good grass green hand happy hat head hen home horse hot house ice jam key king kite lake lamp leaf leg lion long \
    man map milk mom moon mouse mud name nest net night nose nut old owl park pen pie pig pink rain red ring river \
    road rock room rose run sad sea sheep ship shoe sky snow sock song star stone story sun table ten toy train tree truck \
    water wind word yes";

const SPELL: &[Wording] = &[
    request("spell {w}"),
    request("spell the word {w}"),
    request("spell \"{w}\""),
    request("spell out {w}"),
    request("spell out the word {w}"),
    question("how do you spell {w}"),
    question("how do you spell the word {w}"),
    question("how is {w} spelled"),
    question("how is the word {w} spelled"),
    question("how do I spell {w}"),
    question("how is {w} spelt"),
    question("how do you write {w}"),
    question("how do I write {w}"),
    question("what letters are in {w}"),
    question("which letters are in {w}"),
    clause("how to spell {w}"),
    clause("how to spell the word {w}"),
    clause("how you spell {w}"),
    clause("how to write {w}"),
    clause("how {w} is spelled"),
    noun("the spelling of {w}"),
    nouns("the letters of {w}"),
    nouns("the letters in {w}"),
    noun("the spelling of the word {w}"),
    request("write the letters of {w}"),
    request("say the letters of {w}"),
    request("spell {w} letter by letter"),
    request("say {w} letter by letter"),
    question("do you know how to spell {w}"),
    unseen(question("how do I spell the word {w}")),
    unseen(clause("how to write the word {w}")),
    unseen(nouns("the letters of the word {w}")),
    unseen(request("spell the word {w} letter by letter")),
    unseen(clause("how the word {w} is spelled")),
    unseen(question("which letters are in the word {w}")),
    unseen(request("say the letters in {w}")),
];

const FIRST: &[Wording] = &[
    question("what is the first letter of {w}"),
    question("what is the first letter of the word {w}"),
    question("which letter does {w} start with"),
    question("what letter does {w} start with"),
    question("what does {w} start with"),
    question("what letter does {w} begin with"),
    question("which letter does {w} begin with"),
    question("which letter comes first in {w}"),
    question("what letter comes first in {w}"),
    clause("which letter {w} starts with"),
    clause("what letter {w} starts with"),
    clause("which letter comes first in {w}"),
    noun("the first letter of {w}"),
    noun("the first letter in {w}"),
    noun("the first letter of the word {w}"),
    unseen(question("what letter does the word {w} start with")),
    unseen(clause("which letter {w} begins with")),
    unseen(noun("the first letter in the word {w}")),
    unseen(question("what does the word {w} start with")),
];

const LAST: &[Wording] = &[
    question("what is the last letter of {w}"),
    question("what is the last letter of the word {w}"),
    question("which letter does {w} end with"),
    question("what letter does {w} end with"),
    question("what does {w} end with"),
    question("which letter comes last in {w}"),
    question("what letter comes last in {w}"),
    clause("which letter {w} ends with"),
    clause("what letter {w} ends with"),
    clause("which letter comes last in {w}"),
    noun("the last letter of {w}"),
    noun("the last letter in {w}"),
    noun("the last letter of the word {w}"),
    unseen(question("what letter does the word {w} end with")),
    unseen(noun("the last letter in the word {w}")),
    unseen(question("what does the word {w} end with")),
];

const LENGTH: &[Wording] = &[
    question("how many letters are in {w}"),
    question("how many letters are in the word {w}"),
    question("how many letters does {w} have"),
    question("how many letters does the word {w} have"),
    question("how many letters are there in {w}"),
    question("how long is the word {w}"),
    clause("how many letters {w} has"),
    clause("how many letters are in {w}"),
    clause("how many letters the word {w} has"),
    noun("the number of letters in {w}"),
    noun("the number of letters of {w}"),
    request("count the letters in {w}"),
    request("count the letters of {w}"),
    request("count the letters in the word {w}"),
    unseen(question("how many letters are there in the word {w}")),
    unseen(clause("how many letters are in the word {w}")),
    unseen(noun("the number of letters in the word {w}")),
    unseen(request("count the letters of the word {w}")),
];

/// Spelling and letters.
pub(super) fn topics() -> Vec<Topic> {
    let each = |make: fn(&str) -> Fact| WORDS.split(' ').map(make).collect();
    let more: &[&str] = &["and {w}?", "and the word {w}?", "what about {w}?", "now {w}."];
    vec![
        Topic::listed(Kind::Spelling, 9.0, SPELL, each(spelled)).with_follow_ups(more),
        Topic::listed(Kind::Letters, 2.0, FIRST, each(|word| end_letter(word, "first", word.chars().next()))).with_follow_ups(more),
        Topic::listed(Kind::Letters, 2.0, LAST, each(|word| end_letter(word, "last", word.chars().last()))).with_follow_ups(more),
        Topic::listed(Kind::Letters, 2.0, LENGTH, each(length)).with_follow_ups(more),
    ]
}

fn slots(word: &str) -> Vec<(&'static str, String)> {
    vec![("w", word.to_owned())]
}

fn spelled(word: &str) -> Fact {
    let letters: Vec<String> = word.chars().map(String::from).collect();
    Fact::new(slots(word), format!("{}.", letters.join("-")), Check::Sequence(letters))
}

fn end_letter(word: &str, which: &str, letter: Option<char>) -> Fact {
    let answer = format!("The {which} letter of {word} is {}", letter.map(String::from).unwrap_or_default());
    Fact::new(slots(word), format!("{answer}."), Check::Words { right: vec![answer], wrong: Vec::new() })
}

fn length(word: &str) -> Fact {
    let answer = format!("has {} letters", word.len());
    Fact::new(slots(word), format!("The word {word} {answer}."), Check::Words { right: vec![answer], wrong: Vec::new() })
}
