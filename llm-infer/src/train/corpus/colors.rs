//! Colors of things and of mixtures, with both spellings of the word.

use super::topic::{Fact, Topic};
use super::wording::{Wording, clause, noun, question, unseen};
use super::{Check, Kind};

/// All colors, the rivals of each answer.
const COLORS: [&str; 11] = ["red", "blue", "green", "yellow", "white", "black", "brown", "orange", "pink", "gray", "purple"];

/// A thing as it stands in a sentence, and its color.
const THINGS: &[(&str, &str)] = &[
    ("the sky", "blue"),
    ("the sea", "blue"),
    ("grass", "green"),
    ("the sun", "yellow"),
    ("snow", "white"),
    ("milk", "white"),
    ("a banana", "yellow"),
    ("a lemon", "yellow"),
    ("a tomato", "red"),
    ("blood", "red"),
    ("a strawberry", "red"),
    ("a cherry", "red"),
    ("a fire truck", "red"),
    ("a frog", "green"),
    ("a leaf", "green"),
    ("a tree", "green"),
    ("a cucumber", "green"),
    ("a pea", "green"),
    ("a carrot", "orange"),
    ("a pumpkin", "orange"),
    ("an orange", "orange"),
    ("chocolate", "brown"),
    ("wood", "brown"),
    ("a bear", "brown"),
    ("mud", "brown"),
    ("coal", "black"),
    ("the night", "black"),
    ("a pig", "pink"),
    ("a flamingo", "pink"),
    ("an elephant", "gray"),
    ("a mouse", "gray"),
    ("a swan", "white"),
    ("a sheep", "white"),
    ("a cloud", "white"),
    ("salt", "white"),
    ("a plum", "purple"),
    ("butter", "yellow"),
    ("corn", "yellow"),
    ("a rock", "gray"),
    ("a crow", "black"),
];

const COLOR: &[Wording] = &[
    question("what color is {x}"),
    question("what colour is {x}"),
    question("which color is {x}"),
    question("which colour is {x}"),
    question("what color does {x} have"),
    question("what colour does {x} have"),
    question("which color does {x} have"),
    question("of what color is {x}"),
    question("in what color is {x}"),
    clause("what color {x} is"),
    clause("what colour {x} is"),
    clause("which color {x} is"),
    clause("which colour {x} is"),
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
    let things = THINGS.iter().map(|&(thing, color)| {
        let check = Check::one_of(&format!("is {color}"), COLORS, &[color]);
        let sentence = format!("{} is {color}.", super::wording::capitalize(thing));
        Fact::new(vec![("x", thing.to_owned())], sentence, check)
    });
    let mixtures = MIXTURES.iter().flat_map(|&(a, b, mixed)| [(a, b, mixed), (b, a, mixed)]).map(|(a, b, mixed)| {
        let check = Check::one_of(&format!("make {mixed}"), COLORS, &[a, b, mixed]);
        let sentence = format!("{} and {b} make {mixed}.", super::wording::capitalize(a));
        Fact::new(vec![("a", a.to_owned()), ("b", b.to_owned())], sentence, check)
    });
    vec![
        Topic::listed(Kind::Color, 3.0, COLOR, things.collect()).with_follow_ups(&["and {x}?", "what about {x}?", "how about {x}?"]),
        Topic::listed(Kind::Color, 1.2, MIX, mixtures.collect()).with_follow_ups(&["and {a} and {b}?", "what about {a} and {b}?"]),
    ]
}
