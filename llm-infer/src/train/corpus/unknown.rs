//! Questions beyond a model of this size, and the honest answer to them.
//!
//! A part of the subjects is kept for evaluation: what matters is to know the edge of what one knows, not a list of questions.

use super::topic::{Fact, Topic};
use super::wording::{Wording, clause, noun, nouns, question, request, unseen};
use super::{Check, Kind};

/// What the model says where it knows nothing.
const ANSWER: &str = "I am a small model and I do not know that.";

/// One in this many subjects is only for evaluation.
const UNSEEN_OF: usize = 6;

const COUNTRIES: &str = "France Spain Italy Japan China India Peru Brazil Canada Egypt Kenya Germany Norway Sweden Poland Greece \
    Turkey Russia Mexico Chile Cuba Ghana Iran Iraq Ireland Nepal Portugal Austria Denmark Finland Korea Australia";

const COUNTRY: &[Wording] = &[
    noun("the capital of {x}"),
    question("what is the capital city of {x}"),
    question("how many people live in {x}"),
    question("where is {x}"),
    question("how big is {x}"),
    question("who is the president of {x}"),
    question("who rules {x}"),
    question("what language do people speak in {x}"),
    question("how far is {x}"),
    question("what is the weather in {x}"),
    clause("how many people live in {x}"),
    clause("where {x} is"),
    request("tell me about {x}"),
    question("when was {x} founded"),
    unseen(noun("the flag of {x}")),
    unseen(question("what do people eat in {x}")),
    unseen(clause("how far {x} is")),
];

/// Words beyond those that the model can spell.
const LONG_WORDS: &str = "elephant computer university banana chocolate beautiful difficult mountain butterfly hospital restaurant kitchen \
    airplane bicycle window umbrella calendar dictionary language question important different tomorrow yesterday birthday \
    dinosaur helicopter crocodile rhythm encyclopedia telephone microscope orchestra knowledge necessary government science \
    library vegetable strawberry kangaroo penguin giraffe alphabet breakfast adventure";

const LONG_WORD: &[Wording] = &[
    request("spell {x}"),
    request("spell the word {x}"),
    request("spell out {x}"),
    question("how do you spell {x}"),
    question("how is {x} spelled"),
    question("how do I spell {x}"),
    question("how do you write {x}"),
    clause("how to spell {x}"),
    clause("how you spell {x}"),
    noun("the spelling of {x}"),
    nouns("the letters of {x}"),
    unseen(question("how is {x} written")),
    unseen(clause("how I spell {x}")),
];

const PEOPLE: &[&str] = &[
    "Napoleon",
    "Shakespeare",
    "Einstein",
    "Mozart",
    "Newton",
    "Picasso",
    "Caesar",
    "Darwin",
    "Beethoven",
    "Lincoln",
    "Gandhi",
    "Plato",
    "Tolstoy",
    "Goethe",
    "Columbus",
    "Cleopatra",
    "Galileo",
    "Bach",
    "Homer",
    "Marie Curie",
    "Alan Turing",
    "Ada Lovelace",
    "Leonardo",
    "Rembrandt",
];

const PERSON: &[Wording] = &[
    question("who is {x}"),
    question("who was {x}"),
    question("when was {x} born"),
    question("where was {x} born"),
    question("when did {x} die"),
    question("what did {x} do"),
    question("what is {x} known for"),
    clause("who {x} was"),
    clause("when {x} was born"),
    request("tell me about {x}"),
    request("tell me something about {x}"),
    request("write about {x}"),
    unseen(clause("where {x} was born")),
    unseen(question("what was {x} known for")),
];

const SUBJECTS: &[&str] = &[
    "physics",
    "history",
    "politics",
    "music",
    "chemistry",
    "football",
    "money",
    "law",
    "art",
    "medicine",
    "computers",
    "philosophy",
    "religion",
    "war",
    "science",
    "math",
    "biology",
    "tennis",
    "economics",
    "the internet",
    "electricity",
    "gravity",
    "rockets",
    "atoms",
    "engines",
    "quantum physics",
];

const SUBJECT: &[Wording] = &[
    request("explain {x}"),
    request("explain {x} to me"),
    request("tell me about {x}"),
    request("teach me {x}"),
    question("what is {x}"),
    question("how does {x} work"),
    question("what do you know about {x}"),
    question("what do you think about {x}"),
    request("write a text about {x}"),
    request("write an essay about {x}"),
    question("what is the meaning of {x}"),
    clause("what {x} is"),
    request("tell me something about {x}"),
    unseen(request("teach me about {x}")),
    unseen(request("explain what {x} is")),
    unseen(request("write something about {x}")),
];

const SENTENCES: &[&str] = &[
    "hello",
    "good morning",
    "I love you",
    "my name is Anna",
    "the house is big",
    "where is the train",
    "I am hungry",
    "thank you",
    "good night",
    "the dog is red",
];

const LANGUAGES: &[&str] =
    &["French", "Spanish", "German", "Chinese", "Italian", "Latin", "Russian", "Japanese", "Arabic", "Greek", "Dutch", "Polish"];

const TRANSLATE: &[Wording] = &[
    request("translate \"{s}\" to {x}"),
    request("translate \"{s}\" into {x}"),
    question("what is \"{s}\" in {x}"),
    question("how do you say \"{s}\" in {x}"),
    request("say \"{s}\" in {x}"),
    request("write \"{s}\" in {x}"),
    question("can you speak {x}"),
    question("do you speak {x}"),
    request("speak {x}"),
    request("teach me {x}"),
    clause("how to say \"{s}\" in {x}"),
    unseen(question("do you understand {x}")),
    unseen(clause("how you say \"{s}\" in {x}")),
];

const TOO_BIG: &[Wording] = &[
    question("what is {a} + {b}"),
    question("what's {a} + {b}"),
    question("what is {a} plus {b}"),
    question("how much is {a} + {b}"),
    question("{a} + {b}"),
    question("{a} plus {b}"),
    clause("what {a} plus {b} is"),
    clause("what {a} + {b} is"),
    request("add {a} and {b}"),
    request("calculate {a} + {b}"),
    unseen(request("compute the sum of {a} and {b}")),
    unseen(question("{a} plus {b} is what")),
];

const MULTIPLY: &[Wording] = &[
    question("what is {a} times {b}"),
    question("what is {a} * {b}"),
    question("what is {a} / {b}"),
    question("{a} * {b}"),
    question("{a} / {b}"),
    question("how much is {a} times {b}"),
    question("what is {a} divided by {b}"),
    question("what is {a} x {b}"),
    request("multiply {a} by {b}"),
    request("divide {a} by {b}"),
    clause("what {a} times {b} is"),
    noun("{a} * {b}"),
    noun("the square root of {a}"),
    unseen(request("multiply {a} and {b}")),
    unseen(clause("what {a} divided by {b} is")),
    unseen(question("{a} times {b}")),
];

const SINGLE: &[&str] = &[
    "what time is it",
    "what day is it today",
    "what is the date today",
    "what is the weather today",
    "will it rain tomorrow",
    "what is the news",
    "who won the game",
    "who will win the election",
    "what is the meaning of life",
    "how old is the earth",
    "how far is the moon",
    "how many stars are there",
    "what is the tallest mountain",
    "what is the longest river",
    "what is the fastest car",
    "who wrote the bible",
    "who invented the telephone",
    "who invented the car",
    "who painted the mona lisa",
    "when did the war end",
    "how do I fix my computer",
    "how do I cook rice",
    "how do I bake a cake",
    "what should I wear today",
    "what is my phone number",
    "where do I live",
    "how old am I",
    "what did I eat today",
    "what is in my bag",
    "where are my keys",
    "can you write code",
    "can you write a program",
    "what is the speed of light",
    "why is the sky blue",
    "why do people dream",
    "how does a car work",
    "how does the brain work",
    "what is a black hole",
    "what is the price of gold",
    "how much does a house cost",
    "what is the best phone",
    "which movie should I watch",
    "who is the richest person",
    "what is the biggest country",
    "how do planes fly",
    "how do I lose weight",
    "what is a virus",
    "how do I get rich",
    "who is the king of england",
    "what will happen tomorrow",
    "what is the largest ocean",
    "how deep is the sea",
    "how hot is the sun",
    "what is dna",
    "who was the first man on the moon",
];

const TASKS: &[&str] = &[
    "write a program in python",
    "write a function in rust",
    "write an email to my boss",
    "write a poem",
    "sing a song",
    "play some music",
    "open the door",
    "send a message",
    "call my mom",
    "book a table",
    "buy a ticket",
    "draw a picture",
    "search the web",
    "write a letter",
    "write code",
    "play a game",
    "order a pizza",
    "fix my computer",
    "do my homework",
    "clean my room",
    "read the news",
    "show a photo",
    "set a timer",
    "write a song",
    "find a doctor",
    "drive a car",
];

const TASK: &[Wording] = &[
    request("{x}"),
    request("{x} now"),
    question("do you know how to {x}"),
    unseen(request("{x} with me")),
    unseen(question("how do you {x}")),
];

const WHOLE: &[Wording] = &[question("{x}")];

/// Questions that are only answered honestly.
pub(super) fn topics() -> Vec<Topic> {
    let topic = |weight, wordings, facts| Topic::listed(Kind::Unknown, weight, wordings, facts);
    let subjects = |list: &'static [&'static str]| held_out(list.iter().map(|x| vec![("x", (*x).to_owned())]));
    let words = |list: &'static str| held_out(list.split(' ').map(|x| vec![("x", x.to_owned())]));
    let translations = SENTENCES.iter().flat_map(|s| LANGUAGES.iter().map(move |x| vec![("s", (*s).to_owned()), ("x", (*x).to_owned())]));
    let numbers = |a: u32, b: u32| vec![("a", a.to_string()), ("b", b.to_string())];
    let just_too_big = (1..=20).flat_map(|a| (21 - a..=20).map(move |b| (a, b)));
    let far_too_big = (0..400).map(|n| (n * 37 % 979, 21 + n * 53 % 479));
    let factors = (0..400).map(|n| (2 + n * 7 % 19, 2 + n * 11 % 23)).chain(far_too_big.clone().take(100));
    vec![
        topic(1.0, COUNTRY, words(COUNTRIES)),
        topic(0.5, LONG_WORD, words(LONG_WORDS)),
        topic(0.8, PERSON, subjects(PEOPLE)),
        topic(0.8, SUBJECT, subjects(SUBJECTS)),
        topic(0.7, TRANSLATE, held_out(translations)),
        topic(1.2, TOO_BIG, held_out(just_too_big.chain(far_too_big).map(|(a, b)| numbers(a, b)))),
        topic(0.7, MULTIPLY, held_out(factors.map(|(a, b)| numbers(a, b)))),
        topic(0.6, TASK, subjects(TASKS)),
        topic(1.5, WHOLE, subjects(SINGLE)),
    ]
}

/// Facts of the honest answer, every [`UNSEEN_OF`]th for evaluation only.
fn held_out(slots: impl Iterator<Item = Vec<(&'static str, String)>>) -> Vec<Fact> {
    let fact = |(at, slots)| Fact { unseen: at % UNSEEN_OF == UNSEEN_OF - 1, ..Fact::new(slots, ANSWER, Check::says(&["do not know"])) };
    slots.enumerate().map(fact).collect()
}
