//! Counting up and down, and the number next to a number.

use super::check::NUMBERS;
use super::topic::{Fact, Topic};
use super::wording::{Wording, clause, noun, nouns, question, request, unseen};
use super::{Check, Kind};

/// The largest number counted to.
const LARGEST: u32 = 20;

/// The most numbers in one answer.
const LONGEST: u32 = 10;

const UP: &[Wording] = &[
    request("count from {a} to {b}"),
    request("count up from {a} to {b}"),
    request("count the numbers from {a} to {b}"),
    request("say the numbers from {a} to {b}"),
    request("list the numbers from {a} to {b}"),
    request("write the numbers from {a} to {b}"),
    request("name the numbers from {a} to {b}"),
    request("start at {a} and count to {b}"),
    request("go from {a} to {b}"),
    nouns("the numbers from {a} to {b}"),
    question("which numbers go from {a} to {b}"),
    request("count up to {b} from {a}"),
    request("count to {b} from {a}"),
    request("begin at {a} and count to {b}"),
    request("count {a} to {b}"),
    unseen(request("start at {a} and count up to {b}")),
    unseen(request("begin with {a} and count to {b}")),
    unseen(request("count all numbers from {a} to {b}")),
    unseen(request("write all the numbers from {a} to {b}")),
];

const UP_FROM_ONE: &[Wording] = &[
    request("count to {b}"),
    request("count up to {b}"),
    request("count until {b}"),
    request("say the numbers up to {b}"),
    nouns("the numbers up to {b}"),
    request("list the numbers up to {b}"),
    unseen(request("write the numbers up to {b}")),
];

const DOWN: &[Wording] = &[
    request("count down from {a} to {b}"),
    request("count back from {a} to {b}"),
    request("count backwards from {a} to {b}"),
    request("count down from {a} until {b}"),
    request("go down from {a} to {b}"),
    request("say the numbers down from {a} to {b}"),
    request("list the numbers down from {a} to {b}"),
    request("start at {a} and count down to {b}"),
    request("start at {a} and count back to {b}"),
    nouns("the numbers down from {a} to {b}"),
    request("count down {a} to {b}"),
    unseen(request("begin at {a} and count down to {b}")),
    unseen(request("count backwards {a} to {b}")),
    unseen(request("start at {a} and go down to {b}")),
];

const AFTER: &[Wording] = &[
    question("what comes after {a}"),
    question("which number comes after {a}"),
    question("what number comes after {a}"),
    question("what is after {a}"),
    question("what number is next after {a}"),
    question("what is one more than {a}"),
    question("what comes next after {a}"),
    question("which number is after {a}"),
    clause("what comes after {a}"),
    clause("which number comes after {a}"),
    noun("the number after {a}"),
    noun("the next number after {a}"),
    noun("the number that comes after {a}"),
    unseen(clause("what number comes after {a}")),
    unseen(question("which number comes next after {a}")),
    unseen(clause("what comes next after {a}")),
];

const BEFORE: &[Wording] = &[
    question("what comes before {a}"),
    question("which number comes before {a}"),
    question("what number comes before {a}"),
    question("what is before {a}"),
    question("what is one less than {a}"),
    question("which number is before {a}"),
    question("what comes just before {a}"),
    clause("what comes before {a}"),
    clause("which number comes before {a}"),
    noun("the number before {a}"),
    noun("the number that comes before {a}"),
    unseen(clause("what number comes before {a}")),
    unseen(question("which number comes just before {a}")),
    unseen(noun("the number just before {a}")),
];

/// Counting and neighbors.
pub(super) fn topics() -> Vec<Topic> {
    let spans = || (0..LARGEST).flat_map(|a| (a + 2..=LARGEST.min(a + LONGEST - 1)).map(move |b| (a, b)));
    let up = spans().flat_map(|(a, b)| run(a, b, (a..=b).collect()));
    let down = spans().flat_map(|(a, b)| run(b, a, (a..=b).rev().collect()));
    let from_one = (3..=LARGEST).flat_map(|b| run(1, b, (1..=b).collect()));
    let after = (0..LARGEST).flat_map(|a| neighbor(a, a + 1, "after"));
    let before = (1..=LARGEST).flat_map(|a| neighbor(a, a - 1, "before"));
    vec![
        Topic::listed(Kind::Counting, 3.0, UP, up.collect()).with_follow_ups(&["and from {a} to {b}?", "now from {a} to {b}."]),
        Topic::listed(Kind::Counting, 2.0, UP_FROM_ONE, from_one.collect()),
        Topic::listed(Kind::Counting, 3.0, DOWN, down.collect()),
        Topic::listed(Kind::Counting, 0.8, AFTER, after.collect()).with_follow_ups(&["and after {a}?", "what about {a}?"]),
        Topic::listed(Kind::Counting, 0.8, BEFORE, before.collect()).with_follow_ups(&["and before {a}?", "what about {a}?"]),
    ]
}

/// The numbers in order, asked for in digits twice and once in words.
fn run(a: u32, b: u32, numbers: Vec<u32>) -> impl Iterator<Item = Fact> {
    let items: Vec<String> = numbers.iter().map(u32::to_string).collect();
    let word = |n: u32| NUMBERS[n as usize].to_owned();
    let digits = vec![("a", a.to_string()), ("b", b.to_string())];
    let slots = [digits.clone(), digits, vec![("a", word(a)), ("b", word(b))]];
    slots.into_iter().map(move |slots| Fact::new(slots, format!("{}.", items.join(", ")), Check::Sequence(items.clone())))
}

/// The number next to `a`, asked for in digits and in words.
fn neighbor(a: u32, right: u32, side: &'static str) -> impl Iterator<Item = Fact> {
    let check = Check::Words { right: vec![format!("{right} comes {side} {a}")], wrong: Vec::new() };
    [a.to_string(), NUMBERS[a as usize].to_owned()]
        .into_iter()
        .map(move |number| Fact::new(vec![("a", number)], format!("{right} comes {side} {a}."), check.clone()))
}
