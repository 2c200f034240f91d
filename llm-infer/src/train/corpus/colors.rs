//! Colors of things and of mixtures, with both spellings of the word.

use super::topic::{Fact, Topic};
use super::wording::{Wording, clause, noun, question, unseen};
use super::{Check, Kind};

/// All colors, the rivals of each answer.
const COLORS: [&str; 11] = ["red", "blue", "green", "yellow", "white", "black", "brown", "orange", "pink", "gray", "purple"];

/// A thing as it stands in a sentence, its verb, and its color.
const THINGS: &[(&str, &str, &str)] = &[
    ("the sky", "is", "blue"),
    ("the sea", "is", "blue"),
    ("grass", "is", "green"),
    ("the sun", "is", "yellow"),
    ("snow", "is", "white"),
    ("milk", "is", "white"),
    ("a banana", "is", "yellow"),
    ("a lemon", "is", "yellow"),
    ("a tomato", "is", "red"),
    ("blood", "is", "red"),
    ("a strawberry", "is", "red"),
    ("a cherry", "is", "red"),
    ("a fire truck", "is", "red"),
    ("a frog", "is", "green"),
    ("a leaf", "is", "green"),
    ("a tree", "is", "green"),
    ("a cucumber", "is", "green"),
    ("a pea", "is", "green"),
    ("a carrot", "is", "orange"),
    ("a pumpkin", "is", "orange"),
    ("an orange", "is", "orange"),
    ("chocolate", "is", "brown"),
    ("wood", "is", "brown"),
    ("a bear", "is", "brown"),
    ("mud", "is", "brown"),
    ("coal", "is", "black"),
    ("the night", "is", "black"),
    ("a pig", "is", "pink"),
    ("a flamingo", "is", "pink"),
    ("an elephant", "is", "gray"),
    ("a mouse", "is", "gray"),
    ("a swan", "is", "white"),
    ("a sheep", "is", "white"),
    ("a cloud", "is", "white"),
    ("salt", "is", "white"),
    ("a plum", "is", "purple"),
    ("butter", "is", "yellow"),
    ("corn", "is", "yellow"),
    ("a rock", "is", "gray"),
    ("a crow", "is", "black"),
];

const COLOR: &[Wording] = &[
    question("what color {v} {x}"),
    question("what colour {v} {x}"),
    question("which color {v} {x}"),
    question("which colour {v} {x}"),
    question("what color does {x} have"),
    question("what colour does {x} have"),
    question("which color does {x} have"),
    question("what {v} the color of {x}"),
    question("what {v} the colour of {x}"),
    question("of what color {v} {x}"),
    question("in what color {v} {x}"),
    clause("what color {x} {v}"),
    clause("what colour {x} {v}"),
    clause("which color {x} {v}"),
    clause("which colour {x} {v}"),
    clause("what color {x} has"),
    clause("the colour that {x} has"),
    noun("the color of {x}"),
    noun("the colour of {x}"),
    noun("the usual color of {x}"),
    unseen(question("which colour does {x} have")),
    unseen(clause("what colour {x} has")),
    unseen(clause("which color {x} has")),
    unseen(noun("the usual colour of {x}")),
    unseen(clause("the color that {x} has")),
];

/// Two colors and what they make.
const MIXTURES: &[(&str, &str, &str)] = &[
    ("blue", "yellow", "green"),
    ("red", "yellow", "orange"),
    ("red", "blue", "purple"),
    ("black", "white", "gray"),
    ("red", "white", "pink"),
];

const MIX: &[Wording] = &[
    question("what color do {a} and {b} make"),
    question("what colour do {a} and {b} make"),
    question("what do {a} and {b} make"),
    question("what do you get if you mix {a} and {b}"),
    question("what happens if I mix {a} and {b}"),
    question("which color do {a} and {b} make"),
    question("what is {a} mixed with {b}"),
    question("what color do you get from {a} and {b}"),
    question("what colour do you get from {a} and {b}"),
    clause("what color {a} and {b} make"),
    clause("what colour {a} and {b} make"),
    clause("what {a} and {b} make"),
    clause("what you get if you mix {a} and {b}"),
    noun("the mixture of {a} and {b}"),
    unseen(question("which colour do {a} and {b} make")),
    unseen(question("what do I get if I mix {a} and {b}")),
    unseen(clause("which color {a} and {b} make")),
    unseen(question("what colour is {a} mixed with {b}")),
];

/// Colors of things and of mixtures.
pub(super) fn topics() -> Vec<Topic> {
    let things = THINGS.iter().map(|&(thing, verb, color)| {
        let check = Check::one_of(&format!("{verb} {color}"), COLORS, &[color]);
        let sentence = format!("{} {verb} {color}.", super::wording::capitalize(thing));
        Fact::new(vec![("x", thing.to_owned()), ("v", verb.to_owned())], sentence, check)
    });
    let mixtures = MIXTURES.iter().flat_map(|&(a, b, mixed)| [(a, b, mixed), (b, a, mixed)]).map(|(a, b, mixed)| {
        let check = Check::one_of(mixed, COLORS, &[a, b]);
        let sentence = format!("{} and {b} make {mixed}.", super::wording::capitalize(a));
        Fact::new(vec![("a", a.to_owned()), ("b", b.to_owned())], sentence, check)
    });
    vec![
        Topic::listed(Kind::Color, 3.0, COLOR, things.collect()).with_follow_ups(&["and {x}?", "what about {x}?", "how about {x}?"]),
        Topic::listed(Kind::Color, 1.2, MIX, mixtures.collect()).with_follow_ups(&["and {a} and {b}?", "what about {a} and {b}?"]),
    ]
}
