//! Sounds, legs, young and homes of animals.

use super::check::NUMBERS;
use super::topic::{Fact, Topic};
use super::wording::{Wording, capitalize, clause, noun, question, unseen};
use super::{Check, Kind};

const SOUNDS: &[(&str, &str)] = &[
    ("a cow", "moo"),
    ("a dog", "woof"),
    ("a cat", "meow"),
    ("a duck", "quack"),
    ("a pig", "oink"),
    ("a sheep", "baa"),
    ("a horse", "neigh"),
    ("a lion", "roar"),
    ("a bee", "buzz"),
    ("a snake", "hiss"),
    ("a mouse", "squeak"),
    ("a frog", "croak"),
    ("an owl", "hoot"),
    ("a bird", "tweet"),
    ("a hen", "cluck"),
    ("a wolf", "howl"),
    ("a crow", "caw"),
    ("a donkey", "hee-haw"),
];

const SOUND: &[Wording] = &[
    question("what does {x} say"),
    question("what sound does {x} make"),
    question("which sound does {x} make"),
    question("what noise does {x} make"),
    question("how does {x} sound"),
    question("how does {x} go"),
    question("what is the sound of {x}"),
    question("what sound do you hear from {x}"),
    clause("what {x} says"),
    clause("what sound {x} makes"),
    clause("which sound {x} makes"),
    clause("what noise {x} makes"),
    noun("the sound of {x}"),
    noun("the noise of {x}"),
    clause("how {x} sounds"),
    question("what is the noise of {x}"),
    unseen(question("which noise does {x} make")),
    unseen(clause("which noise {x} makes")),
    unseen(clause("how {x} goes")),
    unseen(question("what noise do you hear from {x}")),
];

const YOUNG: &[(&str, &str)] = &[
    ("dog", "puppy"),
    ("cat", "kitten"),
    ("cow", "calf"),
    ("horse", "foal"),
    ("sheep", "lamb"),
    ("hen", "chick"),
    ("duck", "duckling"),
    ("bear", "cub"),
    ("pig", "piglet"),
    ("goat", "kid"),
    ("deer", "fawn"),
    ("frog", "tadpole"),
    ("goose", "gosling"),
    ("kangaroo", "joey"),
    ("owl", "owlet"),
];

const BABY: &[Wording] = &[
    question("what is a baby {x} called"),
    question("what is a young {x} called"),
    question("what do you call a baby {x}"),
    question("what do you call a young {x}"),
    question("what is the name of a baby {x}"),
    question("what is the name for a young {x}"),
    question("what is a baby {x}"),
    question("what is a young {x}"),
    question("what are baby {xs} called"),
    question("what do people call a baby {x}"),
    question("how do you call a baby {x}"),
    question("what is the word for a baby {x}"),
    clause("what a baby {x} is called"),
    clause("what a young {x} is called"),
    clause("what you call a baby {x}"),
    noun("the name of a baby {x}"),
    noun("the name of a young {x}"),
    noun("the word for a baby {x}"),
    unseen(question("what is the word for a young {x}")),
    unseen(clause("what you call a young {x}")),
    unseen(question("what do people call a young {x}")),
    unseen(question("what is the name of a young {x}")),
];

const LEGS: &[(&str, u32)] = &[
    ("a dog", 4),
    ("a cat", 4),
    ("a cow", 4),
    ("a horse", 4),
    ("a pig", 4),
    ("a sheep", 4),
    ("a lion", 4),
    ("an elephant", 4),
    ("a frog", 4),
    ("a mouse", 4),
    ("a bird", 2),
    ("a hen", 2),
    ("a duck", 2),
    ("an owl", 2),
    ("a person", 2),
    ("a spider", 8),
    ("an ant", 6),
    ("a bee", 6),
    ("a fly", 6),
    ("a beetle", 6),
    ("a snake", 0),
    ("a fish", 0),
    ("a worm", 0),
    ("a whale", 0),
];

const LEG: &[Wording] = &[
    question("how many legs does {x} have"),
    question("how many legs has {x}"),
    question("how many legs are on {x}"),
    question("how many legs are there on {x}"),
    question("what number of legs does {x} have"),
    question("on how many legs does {x} walk"),
    question("how many legs has {x} got"),
    question("how many feet does {x} have"),
    clause("how many legs {x} has"),
    clause("how many feet {x} has"),
    clause("how many legs are on {x}"),
    noun("the number of legs of {x}"),
    noun("the number of feet of {x}"),
    noun("the number of legs that {x} has"),
    unseen(clause("what number of legs {x} has")),
    unseen(question("how many feet has {x} got")),
    unseen(clause("how many legs there are on {x}")),
    unseen(question("how many feet has {x}")),
];

const HOMES: &[(&str, &str)] = &[
    ("a fish", "in the water"),
    ("a whale", "in the sea"),
    ("a shark", "in the sea"),
    ("a crab", "in the sea"),
    ("a bird", "in a nest"),
    ("a bee", "in a hive"),
    ("a cow", "on a farm"),
    ("a pig", "on a farm"),
    ("a hen", "on a farm"),
    ("a horse", "on a farm"),
    ("a bear", "in the forest"),
    ("a fox", "in the forest"),
    ("a deer", "in the forest"),
    ("an owl", "in the forest"),
    ("a wolf", "in the forest"),
    ("a camel", "in the desert"),
    ("a penguin", "in the ice and snow"),
    ("a monkey", "in the jungle"),
    ("a tiger", "in the jungle"),
    ("a frog", "in a pond"),
    ("a worm", "in the ground"),
    ("a spider", "in a web"),
    ("a dog", "in a house"),
    ("a mouse", "in a hole"),
    ("a squirrel", "in a tree"),
    ("a bat", "in a cave"),
];

const HOME: &[Wording] = &[
    question("where does {x} live"),
    question("where is the home of {x}"),
    question("what is the home of {x}"),
    question("in what place does {x} live"),
    question("in which place does {x} live"),
    question("where can I find {x}"),
    question("where would I find {x}"),
    question("where can you find {x}"),
    question("where does {x} have its home"),
    question("where does {x} make its home"),
    question("where will I find {x}"),
    clause("where {x} lives"),
    clause("where I can find {x}"),
    clause("where you can find {x}"),
    clause("where {x} has its home"),
    clause("where the home of {x} is"),
    noun("the home of {x}"),
    unseen(clause("where {x} makes its home")),
    unseen(clause("in which place {x} lives")),
    unseen(question("where would you find {x}")),
    unseen(clause("where to find {x}")),
];

/// Everything about animals.
pub(super) fn topics() -> Vec<Topic> {
    let more: &[&str] = &["and {x}?", "what about {x}?", "how about {x}?", "and what about {x}?"];
    vec![
        Topic::listed(Kind::Animal, 1.5, SOUND, SOUNDS.iter().map(sound).collect()).with_follow_ups(more),
        Topic::listed(Kind::Animal, 1.3, BABY, YOUNG.iter().map(young).collect())
            .with_follow_ups(&["and a baby {x}?", "what about a baby {x}?"]),
        Topic::listed(Kind::Animal, 1.5, LEG, LEGS.iter().map(legs).collect()).with_follow_ups(more),
        Topic::listed(Kind::Animal, 1.7, HOME, HOMES.iter().map(home).collect()).with_follow_ups(more),
    ]
}

fn sound(&(animal, sound): &(&str, &str)) -> Fact {
    let check = Check::one_of(sound, SOUNDS.iter().map(|&(_, other)| other), &[]);
    Fact::new(vec![("x", animal.to_owned())], format!("{} says {sound}.", capitalize(animal)), check)
}

fn young(&(animal, young): &(&str, &str)) -> Fact {
    let article = if young.starts_with('o') { "an" } else { "a" };
    let plural = if matches!(animal, "sheep" | "deer") { animal.to_owned() } else { format!("{animal}s").replace("gooses", "geese") };
    let check = Check::one_of(young, YOUNG.iter().map(|&(_, other)| other), &[]);
    Fact::new(vec![("x", animal.to_owned()), ("xs", plural)], format!("A baby {animal} is called {article} {young}."), check)
}

fn legs(&(animal, legs): &(&str, u32)) -> Fact {
    let answer =
        if legs == 0 { format!("{} has no legs.", capitalize(animal)) } else { format!("{} has {legs} legs.", capitalize(animal)) };
    let check = if legs == 0 {
        Check::Words { right: vec!["no legs".to_owned()], wrong: NUMBERS.iter().map(|&number| number.to_owned()).collect() }
    } else {
        Check::number(legs, &[])
    };
    Fact::new(vec![("x", animal.to_owned())], answer, check)
}

fn home(&(animal, home): &(&str, &str)) -> Fact {
    let check = Check::one_of(home, HOMES.iter().map(|&(_, other)| other), &[]);
    Fact::new(vec![("x", animal.to_owned())], format!("{} lives {home}.", capitalize(animal)), check)
}
