//! Who and what stories are about.

/// A hero or a helper.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Being {
    /// The noun.
    pub noun: &'static str,
    /// Whether names for boys fit, names for girls, or both.
    pub sex: Sex,
    /// Whether it lives in the water, so that the story must happen there.
    pub swims: bool,
}

/// Which names fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sex {
    /// Names for boys.
    He,
    /// Names for girls.
    She,
    /// All names.
    Either,
}

/// What one does with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Something to play with.
    Toy,
    /// Something to wear.
    Wear,
    /// Something to eat.
    Food,
    /// Something to have.
    Thing,
    /// Something far away to look at.
    Sight,
}

/// Something that a story is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Object {
    /// The noun.
    pub noun: &'static str,
    /// What one does with it.
    pub class: Class,
    /// The infinitive that goes before `the kite`.
    pub verb: &'static str,
    /// Whether the wind can carry it.
    pub light: bool,
    /// Whether it can break and be fixed.
    pub breaks: bool,
}

/// Where a story happens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The noun.
    pub noun: &'static str,
    /// Being there: `in the park`.
    pub at: &'static str,
    /// Going there: `to the park`.
    pub to: &'static str,
    /// Whether it has water deep enough for a fish.
    pub wet: bool,
}

const fn being(noun: &'static str, sex: Sex) -> Being {
    Being { noun, sex, swims: false }
}

const fn animal(noun: &'static str) -> Being {
    being(noun, Sex::Either)
}

const fn swimmer(noun: &'static str) -> Being {
    Being { noun, sex: Sex::Either, swims: true }
}

const fn object(noun: &'static str, class: Class, verb: &'static str) -> Object {
    Object { noun, class, verb, light: false, breaks: false }
}

impl Object {
    const fn light(self) -> Self {
        Self { light: true, ..self }
    }

    const fn breaks(self) -> Self {
        Self { breaks: true, ..self }
    }
}

const fn toy(noun: &'static str) -> Object {
    object(noun, Class::Toy, "play with")
}

const fn wear(noun: &'static str) -> Object {
    object(noun, Class::Wear, "wear")
}

const fn food(noun: &'static str) -> Object {
    object(noun, Class::Food, "eat")
}

const fn thing(noun: &'static str) -> Object {
    object(noun, Class::Thing, "look at")
}

const fn place(noun: &'static str, at: &'static str, to: &'static str) -> Place {
    Place { noun, at, to, wet: false }
}

const fn water(noun: &'static str, at: &'static str, to: &'static str) -> Place {
    Place { noun, at, to, wet: true }
}

/// Heroes and helpers.
pub(super) const BEINGS: &[Being] = &[
    animal("dog"),
    animal("cat"),
    animal("bird"),
    animal("bear"),
    animal("rabbit"),
    animal("mouse"),
    animal("fox"),
    animal("frog"),
    animal("horse"),
    animal("cow"),
    animal("pig"),
    animal("duck"),
    animal("sheep"),
    animal("goat"),
    animal("lion"),
    animal("tiger"),
    animal("elephant"),
    animal("monkey"),
    animal("owl"),
    animal("wolf"),
    animal("deer"),
    animal("squirrel"),
    animal("turtle"),
    animal("bee"),
    animal("ant"),
    animal("hen"),
    animal("snake"),
    animal("zebra"),
    animal("giraffe"),
    animal("penguin"),
    animal("kitten"),
    animal("puppy"),
    animal("lamb"),
    animal("donkey"),
    animal("camel"),
    animal("hedgehog"),
    animal("butterfly"),
    animal("crow"),
    animal("goose"),
    animal("panda"),
    animal("dragon"),
    animal("robot"),
    animal("ghost"),
    animal("giant"),
    animal("child"),
    animal("baby"),
    animal("farmer"),
    animal("doctor"),
    animal("teacher"),
    animal("pirate"),
    animal("baker"),
    being("boy", Sex::He),
    being("man", Sex::He),
    being("king", Sex::He),
    being("prince", Sex::He),
    being("knight", Sex::He),
    being("wizard", Sex::He),
    being("girl", Sex::She),
    being("woman", Sex::She),
    being("queen", Sex::She),
    being("princess", Sex::She),
    being("fairy", Sex::She),
    being("witch", Sex::She),
    swimmer("fish"),
    swimmer("whale"),
    swimmer("crab"),
    swimmer("dolphin"),
];

/// What stories turn around.
pub(super) const OBJECTS: &[Object] = &[
    toy("ball").light(),
    toy("kite").light().breaks(),
    toy("doll").breaks(),
    toy("drum").breaks(),
    toy("balloon").light(),
    toy("car").breaks(),
    toy("train").breaks(),
    toy("boat").breaks(),
    toy("truck").breaks(),
    toy("puzzle"),
    toy("plane").light().breaks(),
    toy("bell"),
    toy("whistle").breaks(),
    toy("toy").breaks(),
    toy("rope"),
    toy("stick"),
    toy("block"),
    toy("bucket").breaks(),
    toy("guitar").breaks(),
    toy("flute").breaks(),
    object("bike", Class::Toy, "ride").breaks(),
    object("sled", Class::Toy, "ride").breaks(),
    object("wagon", Class::Toy, "ride").breaks(),
    object("scooter", Class::Toy, "ride").breaks(),
    wear("hat").light(),
    wear("coat"),
    wear("scarf").light(),
    wear("cap").light(),
    wear("crown"),
    wear("ring"),
    wear("shirt").light(),
    wear("dress").light(),
    wear("sock").light(),
    wear("shoe"),
    wear("mask"),
    food("cake"),
    food("apple"),
    food("cookie"),
    food("pie"),
    food("carrot"),
    food("banana"),
    food("pear"),
    food("sandwich"),
    food("egg"),
    food("nut"),
    food("peach"),
    food("orange"),
    food("melon"),
    food("pizza"),
    food("muffin"),
    object("book", Class::Thing, "read"),
    object("map", Class::Thing, "read").light(),
    object("letter", Class::Thing, "read").light(),
    thing("lamp").breaks(),
    thing("key"),
    thing("box").breaks(),
    thing("basket").breaks(),
    thing("cup").breaks(),
    thing("flower"),
    thing("stone"),
    thing("shell"),
    thing("leaf").light(),
    thing("feather").light(),
    thing("spoon"),
    thing("coin"),
    thing("umbrella").breaks(),
    thing("blanket"),
    thing("pillow"),
    thing("clock").breaks(),
    thing("bag"),
    thing("brush").breaks(),
    thing("pencil"),
    thing("mirror").breaks(),
    thing("flag").light(),
    thing("chair").breaks(),
    thing("button"),
    thing("picture"),
    thing("pot").breaks(),
    thing("rose"),
    thing("candle"),
    object("moon", Class::Sight, "look at"),
    object("sun", Class::Sight, "look at"),
    object("star", Class::Sight, "look at"),
    object("rainbow", Class::Sight, "look at"),
    object("cloud", Class::Sight, "look at"),
];

/// Where stories happen.
pub(super) const PLACES: &[Place] = &[
    place("park", "in the park", "to the park"),
    place("forest", "in the forest", "into the forest"),
    place("garden", "in the garden", "into the garden"),
    place("farm", "on the farm", "to the farm"),
    place("hill", "on the hill", "up the hill"),
    place("school", "at school", "to school"),
    place("zoo", "at the zoo", "to the zoo"),
    place("market", "at the market", "to the market"),
    place("village", "in the village", "to the village"),
    place("town", "in the town", "into town"),
    place("field", "in the field", "into the field"),
    place("castle", "in the castle", "to the castle"),
    place("mountain", "on the mountain", "up the mountain"),
    place("playground", "on the playground", "to the playground"),
    place("bridge", "on the bridge", "to the bridge"),
    place("yard", "in the yard", "into the yard"),
    place("jungle", "in the jungle", "into the jungle"),
    place("island", "on the island", "to the island"),
    water("lake", "at the lake", "to the lake"),
    water("river", "at the river", "to the river"),
    water("sea", "at the sea", "to the sea"),
    water("pond", "at the pond", "to the pond"),
    water("beach", "at the beach", "to the beach"),
];

/// Names for boys.
pub(super) const HE: &[&str] = &["Tom", "Ben", "Max", "Sam", "Tim", "Leo", "Jack", "Finn", "Bob", "Joe", "Dan", "Oscar"];

/// Names for girls.
pub(super) const SHE: &[&str] = &["Lily", "Mia", "Anna", "Sue", "Lucy", "Amy", "Ella", "Nora", "Kate", "Rosa", "Emma", "Zoe"];

/// How a hero is; none starts with a vowel.
pub(super) const TEMPERS: &[&str] = &["little", "small", "happy", "kind", "young", "good", "brave", "funny", "shy", "clever", "big"];

/// How an object looks; none starts with a vowel.
pub(super) const LOOKS: &[&str] = &["red", "blue", "green", "yellow", "big", "little", "new", "nice", "white", "pretty"];
