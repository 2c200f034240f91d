//! Days, months and seasons: what comes next, what comes before, and how many there are.

use super::topic::{Fact, Topic};
use super::wording::{Wording, clause, noun, nouns, question, unseen};
use super::{Check, Kind};

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

const SEASONS: [&str; 4] = ["spring", "summer", "autumn", "winter"];

const AFTER: &[Wording] = &[
    question("what {u} comes after {x}"),
    question("which {u} comes after {x}"),
    question("what {u} is after {x}"),
    question("which {u} is after {x}"),
    question("what comes after {x}"),
    question("what is the {u} after {x}"),
    question("what {u} follows {x}"),
    question("which {u} follows {x}"),
    question("what is the next {u} after {x}"),
    question("what {u} comes next after {x}"),
    question("what {u} comes right after {x}"),
    clause("what {u} comes after {x}"),
    clause("which {u} comes after {x}"),
    clause("what comes after {x}"),
    clause("which {u} follows {x}"),
    clause("what {u} is after {x}"),
    noun("the {u} after {x}"),
    noun("the {u} that comes after {x}"),
    noun("the next {u} after {x}"),
    unseen(question("which {u} comes next after {x}")),
    unseen(clause("what {u} follows {x}")),
    unseen(noun("the {u} that follows {x}")),
    unseen(clause("which {u} is after {x}")),
    unseen(question("which {u} comes right after {x}")),
];

const BEFORE: &[Wording] = &[
    question("what {u} comes before {x}"),
    question("which {u} comes before {x}"),
    question("what {u} is before {x}"),
    question("which {u} is before {x}"),
    question("what comes before {x}"),
    question("what is the {u} before {x}"),
    question("what {u} comes right before {x}"),
    question("what {u} comes just before {x}"),
    clause("what {u} comes before {x}"),
    clause("which {u} comes before {x}"),
    clause("what comes before {x}"),
    clause("what {u} is before {x}"),
    noun("the {u} before {x}"),
    noun("the {u} that comes before {x}"),
    noun("the {u} just before {x}"),
    unseen(clause("which {u} is before {x}")),
    unseen(question("which {u} comes just before {x}")),
    unseen(noun("the {u} right before {x}")),
    unseen(clause("what {u} comes just before {x}")),
];

const LENGTH: &[Wording] = &[
    question("how many days does {x} have"),
    question("how many days are in {x}"),
    question("how many days has {x}"),
    question("how many days are there in {x}"),
    question("how long is {x} in days"),
    question("how many days has {x} got"),
    clause("how many days {x} has"),
    clause("how many days are in {x}"),
    clause("how many days there are in {x}"),
    noun("the number of days in {x}"),
    noun("the number of days of {x}"),
    unseen(noun("the number of days that {x} has")),
    unseen(clause("how many days {x} has got")),
    unseen(question("what number of days does {x} have")),
];

const AMOUNT: &[Wording] = &[
    question("how many {p} are in {x}"),
    question("how many {p} does {x} have"),
    question("how many {p} has {x}"),
    question("how many {p} are there in {x}"),
    question("how many {p} has {x} got"),
    question("{x} has how many {p}"),
    question("how many {p} make {x}"),
    clause("how many {p} are in {x}"),
    clause("how many {p} {x} has"),
    clause("how many {p} there are in {x}"),
    noun("the number of {p} in {x}"),
    noun("the number of {p} of {x}"),
    unseen(clause("how many {p} make {x}")),
    unseen(question("what number of {p} does {x} have")),
    unseen(noun("the number of {p} that {x} has")),
];

/// A unit, how many of them, in what.
const AMOUNTS: &[(&str, u32, &str)] = &[
    ("days", 7, "a week"),
    ("months", 12, "a year"),
    ("seasons", 4, "a year"),
    ("weeks", 52, "a year"),
    ("hours", 24, "a day"),
    ("minutes", 60, "an hour"),
    ("seconds", 60, "a minute"),
];

const LIST: &[Wording] = &[
    nouns("the {p} of the {w}"),
    nouns("all the {p} of the {w}"),
    nouns("all {p} of the {w}"),
    question("what are the {p} of the {w}"),
    question("what {p} does the {w} have"),
    question("which {p} does the {w} have"),
    clause("what the {p} of the {w} are"),
    clause("which {p} the {w} has"),
    question("which are the {p} of the {w}"),
    clause("what {p} the {w} has"),
    nouns("the names of the {p} of the {w}"),
    unseen(nouns("the names of all {p} of the {w}")),
    unseen(question("which {p} are in the {w}")),
];

const EDGE: &[Wording] = &[
    noun("the {e} month of the year"),
    noun("the {e} month"),
    question("which month is the {e} of the year"),
    question("which month comes {e} in the year"),
    question("what month comes {e}"),
    question("which month is {e}"),
    clause("which month is the {e} of the year"),
    clause("what the {e} month of the year is"),
    noun("the {e} month in the year"),
    clause("which month comes {e}"),
    unseen(question("what month is the {e} of the year")),
    unseen(clause("which month comes {e} in the year")),
];

/// Everything about days, months and seasons.
pub(super) fn topics() -> Vec<Topic> {
    let cycles: [(&str, &[&str]); 3] = [("day", &DAYS), ("month", &MONTHS), ("season", &SEASONS)];
    let each = |side: &str, step: fn(usize, usize) -> usize| -> Vec<Fact> {
        let of_cycle = |(unit, names): (&str, &[&str])| -> Vec<Fact> {
            (0..names.len()).map(|at| neighbor(unit, names, at, side, step(at, names.len()))).collect()
        };
        cycles.into_iter().flat_map(of_cycle).collect()
    };
    vec![
        Topic::listed(Kind::Calendar, 1.6, AFTER, each("after", |at, len| (at + 1) % len))
            .with_follow_ups(&["and after {x}?", "what about {x}?"]),
        Topic::listed(Kind::Calendar, 1.6, BEFORE, each("before", |at, len| (at + len - 1) % len))
            .with_follow_ups(&["and before {x}?", "what about {x}?"]),
        Topic::listed(Kind::Calendar, 0.9, LENGTH, lengths()).with_follow_ups(&["and {x}?", "what about {x}?"]),
        Topic::listed(Kind::Calendar, 0.7, AMOUNT, AMOUNTS.iter().map(amount).collect()),
        Topic::listed(
            Kind::Calendar,
            0.5,
            LIST,
            vec![list("days", "week", &DAYS), list("months", "year", &MONTHS), list("seasons", "year", &SEASONS)],
        ),
        Topic::listed(Kind::Calendar, 0.4, EDGE, vec![edge("first", "January"), edge("last", "December")]),
    ]
}

/// The name beside the one at `at`; the answer says both, so that it holds whole phrases to check.
fn neighbor(unit: &str, names: &[&str], at: usize, side: &str, right: usize) -> Fact {
    let (name, right) = (names[at], names[right]);
    let answer = format!("The {unit} {side} {name} is {right}.");
    let check = Check::one_of(&format!("is {right}"), names.iter().copied(), &[name, right]);
    Fact::new(vec![("u", unit.to_owned()), ("x", name.to_owned())], answer, check)
}

fn lengths() -> Vec<Fact> {
    let days = |month: &str| match month {
        "February" => 28,
        "April" | "June" | "September" | "November" => 30,
        _ => 31,
    };
    let fact = |&month: &&str| {
        let slots = vec![("x", month.to_owned())];
        Fact::new(slots, format!("{month} has {} days.", days(month)), Check::number(days(month), &[]))
    };
    MONTHS.iter().map(fact).collect()
}

fn amount(&(units, count, whole): &(&str, u32, &str)) -> Fact {
    let slots = vec![("p", units.to_owned()), ("x", whole.to_owned())];
    Fact::new(slots, format!("{} has {count} {units}.", super::wording::capitalize(whole)), Check::number(count, &[]))
}

fn list(units: &str, whole: &str, names: &[&str]) -> Fact {
    let (last, init) = names.split_last().map_or(("", names), |(last, init)| (*last, init));
    let answer = format!("The {units} of the {whole} are {} and {last}.", init.join(", "));
    let check = Check::says(names);
    Fact::new(vec![("p", units.to_owned()), ("w", whole.to_owned())], answer, check)
}

fn edge(which: &str, month: &str) -> Fact {
    let check = Check::one_of(&format!("is {month}"), MONTHS, &[month]);
    Fact::new(vec![("e", which.to_owned())], format!("The {which} month of the year is {month}."), check)
}
