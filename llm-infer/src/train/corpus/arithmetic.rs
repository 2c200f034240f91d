//! Sums and differences between 0 and 20, and which of two numbers is bigger.

use super::check::NUMBERS;
use super::topic::{Fact, Topic};
use super::wording::{Wording, clause, noun, question, request, unseen};
use super::{Check, Kind};

/// The largest number in a question or an answer.
const LARGEST: u32 = 20;

const SUM: &[Wording] = &[
    question("what is {a} + {b}"),
    question("what's {a} + {b}"),
    question("what is {a} plus {b}"),
    question("how much is {a} + {b}"),
    question("how much is {a} plus {b}"),
    question("{a} + {b}"),
    question("{a} plus {b}"),
    question("{a} + {b} ="),
    question("{a} + {b} is what"),
    question("what does {a} + {b} make"),
    question("what do {a} and {b} make"),
    question("what is {a} and {b}"),
    question("how much are {a} and {b}"),
    question("what is the sum of {a} and {b}"),
    question("how many are {a} and {b}"),
    clause("what {a} + {b} is"),
    clause("what {a} plus {b} is"),
    clause("how much {a} + {b} is"),
    clause("how much {a} plus {b} is"),
    noun("{a} + {b}"),
    noun("the sum of {a} and {b}"),
    request("add {a} and {b}"),
    request("add {a} to {b}"),
    request("add {a} + {b}"),
    request("add up {a} and {b}"),
    request("compute {a} + {b}"),
    request("solve {a} + {b}"),
    request("work out {a} + {b}"),
    request("calculate {a} plus {b}"),
    request("calculate {a} + {b}"),
    unseen(question("what does {a} plus {b} make")),
    unseen(request("work out {a} plus {b}")),
    unseen(request("compute the sum of {a} and {b}")),
    unseen(question("how much does {a} + {b} make")),
    unseen(request("add the numbers {a} and {b}")),
    unseen(question("{a} plus {b} is what")),
];

const DIFFERENCE: &[Wording] = &[
    question("what is {a} - {b}"),
    question("what's {a} - {b}"),
    question("what is {a} minus {b}"),
    question("how much is {a} - {b}"),
    question("how much is {a} minus {b}"),
    question("{a} - {b}"),
    question("{a} minus {b}"),
    question("{a} - {b} ="),
    question("{a} - {b} is what"),
    question("what does {a} - {b} make"),
    question("what is {a} take away {b}"),
    question("how much is {a} take away {b}"),
    question("what is {a} less {b}"),
    clause("what {a} - {b} is"),
    clause("what {a} minus {b} is"),
    clause("how much {a} - {b} is"),
    clause("how much {a} minus {b} is"),
    noun("{a} - {b}"),
    request("subtract {b} from {a}"),
    request("take {b} from {a}"),
    request("take {b} away from {a}"),
    request("compute {a} - {b}"),
    request("solve {a} - {b}"),
    request("work out {a} - {b}"),
    request("calculate {a} minus {b}"),
    request("calculate {a} - {b}"),
    unseen(question("what does {a} minus {b} make")),
    unseen(request("work out {a} minus {b}")),
    unseen(question("how much does {a} - {b} make")),
    unseen(question("{a} minus {b} is what")),
    unseen(clause("how much {a} take away {b} is")),
];

const BIGGER: &[Wording] = &[
    question("which is bigger, {a} or {b}"),
    question("what is bigger, {a} or {b}"),
    question("which number is bigger, {a} or {b}"),
    question("which is larger, {a} or {b}"),
    question("which number is larger, {a} or {b}"),
    question("what is more, {a} or {b}"),
    question("which is more, {a} or {b}"),
    question("which is the bigger number, {a} or {b}"),
    question("which of {a} and {b} is bigger"),
    question("is {a} or {b} bigger"),
    question("what is the bigger number, {a} or {b}"),
    question("which is greater, {a} or {b}"),
    clause("which is bigger, {a} or {b}"),
    clause("which number is bigger, {a} or {b}"),
    clause("if {a} or {b} is bigger"),
    clause("which is larger, {a} or {b}"),
    noun("the bigger number of {a} and {b}"),
    noun("the larger number of {a} and {b}"),
    request("compare {a} and {b}"),
    unseen(question("what is larger, {a} or {b}")),
    unseen(question("which of {a} and {b} is larger")),
    unseen(question("is {a} or {b} larger")),
    unseen(question("which number is greater, {a} or {b}")),
    unseen(request("compare {a} with {b}")),
];

const SMALLER: &[Wording] = &[
    question("which is smaller, {a} or {b}"),
    question("what is smaller, {a} or {b}"),
    question("which number is smaller, {a} or {b}"),
    question("what is less, {a} or {b}"),
    question("which is less, {a} or {b}"),
    question("which is the smaller number, {a} or {b}"),
    question("which of {a} and {b} is smaller"),
    question("is {a} or {b} smaller"),
    question("what is the smaller number, {a} or {b}"),
    clause("which is smaller, {a} or {b}"),
    clause("which number is smaller, {a} or {b}"),
    clause("if {a} or {b} is smaller"),
    noun("the smaller number of {a} and {b}"),
    unseen(question("which number is less, {a} or {b}")),
    unseen(clause("which of {a} and {b} is smaller")),
    unseen(clause("what is less, {a} or {b}")),
];

/// Arithmetic and comparison.
pub(super) fn topics() -> Vec<Topic> {
    let pairs = || (0..=LARGEST).flat_map(|a| (0..=LARGEST).map(move |b| (a, b)));
    let sums = pairs().filter(|(a, b)| a + b <= LARGEST).flat_map(|(a, b)| spellings(a, b, '+', a + b));
    let differences = pairs().filter(|(a, b)| b <= a).flat_map(|(a, b)| spellings(a, b, '-', a - b));
    let unequal = || pairs().filter(|(a, b)| a != b);
    let bigger = unequal().flat_map(|(a, b)| compared(a, b, a.max(b), a.min(b), "bigger"));
    let smaller = unequal().flat_map(|(a, b)| compared(a, b, a.min(b), a.max(b), "smaller"));
    let follow_ups = |more: &'static [&'static str], topic: Topic| topic.with_follow_ups(more);
    vec![
        follow_ups(&["and {a} + {b}?", "and {a} plus {b}?", "{a} + {b}?"], Topic::listed(Kind::Arithmetic, 4.5, SUM, sums.collect())),
        follow_ups(
            &["and {a} - {b}?", "and {a} minus {b}?", "{a} - {b}?"],
            Topic::listed(Kind::Arithmetic, 4.5, DIFFERENCE, differences.collect()),
        ),
        Topic::listed(Kind::Comparison, 2.5, BIGGER, bigger.collect()),
        Topic::listed(Kind::Comparison, 2.0, SMALLER, smaller.collect()),
    ]
}

/// The slots of two numbers: in digits twice, and once in words, for people mostly write digits.
fn two_numbers(a: u32, b: u32) -> [Vec<(&'static str, String)>; 3] {
    let digits = vec![("a", a.to_string()), ("b", b.to_string())];
    [digits.clone(), digits, vec![("a", NUMBERS[a as usize].to_owned()), ("b", NUMBERS[b as usize].to_owned())]]
}

/// One result, asked for in digits and in words; the answer repeats the question in digits, which makes it easier to compute.
fn spellings(a: u32, b: u32, sign: char, result: u32) -> impl Iterator<Item = Fact> {
    two_numbers(a, b).into_iter().map(move |slots| Fact::new(slots, format!("{a} {sign} {b} = {result}."), Check::number(result, &[a, b])))
}

/// One comparison, asked for in digits and in words.
fn compared(a: u32, b: u32, right: u32, other: u32, relation: &'static str) -> impl Iterator<Item = Fact> {
    let check = Check::Words { right: vec![format!("{right} is {relation} than {other}")], wrong: Vec::new() };
    two_numbers(a, b).into_iter().map(move |slots| Fact::new(slots, format!("{right} is {relation} than {other}."), check.clone()))
}
