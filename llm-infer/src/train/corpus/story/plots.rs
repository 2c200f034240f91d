//! The plots: steps with alternatives, one of which is told.
//!
//! Slots: `{name}` of the hero, `{he}`, `{his}`, `{him}`; `{object}`, `{an_object}` and `{look_object}` (with an adjective at times), `{use}` (`play with`);
//! `{helper}`, `{a_helper}`; `{at}` (`in the park`) and `{to}` (`to the park`). Each plot tells of all four.

use super::things::{Class, Object};

/// One way for a story to go.
#[derive(Debug)]
pub(super) struct Plot {
    /// Which objects fit.
    pub fits: fn(&Object) -> bool,
    /// How it ends, before the end itself.
    pub closings: &'static [&'static str],
    /// Whether those who swim can take part.
    pub wet: bool,
    /// The sentences, with alternatives.
    pub steps: &'static [&'static [&'static str]],
}

/// How stories begin.
pub(super) const OPENINGS: &[&str] = &[
    "Once upon a time there was {a_hero} named {name}.",
    "Once there was {a_hero} named {name}.",
    "There once was {a_hero} named {name}.",
    "{name} was {a_hero}.",
];

/// How a second object comes in, if one was asked for.
pub(super) const GIFTS: &[&str] = &[
    "Then {name} gave the {helper} {a_gift} too.",
    "At home {name} had {a_gift}, and {he} gave it to the {helper}.",
    "The {helper} also had {a_gift}, and {name} liked it very much.",
];

/// Ends of plots in which strangers meet.
const NEW_FRIENDS: &[&str] = &[
    "From that day on, they were good friends.",
    "They were friends from that day on.",
    "They were very happy.",
    "And they all lived happily ever after.",
    "{name} had found a good friend.",
];

/// Ends of all plots.
const HAPPY: &[&str] =
    &["They were very happy.", "It was a good day.", "And they all lived happily ever after.", "{name} smiled all day long."];

use Class::{Food, Sight, Thing, Toy, Wear};

/// All plots.
pub(super) const PLOTS: &[Plot] =
    &[LOST, IN_THE_TREE, BROKEN, WISH, SHARED_TOY, CHEERED, WAY_HOME, FOUND, HUNGRY, BIRTHDAY, AFRAID, IN_THE_SKY];

const LOST: Plot = Plot {
    fits: |object| matches!(object.class, Toy | Wear | Thing),
    closings: NEW_FRIENDS,
    wet: true,
    steps: &[
        &["{name} had {an_object}.", "{name} loved {his} {look_object} very much.", "{He} had {an_object} and took it everywhere."],
        &[
            "One day {he} took the {object} {to}.",
            "One sunny day {he} went {to} with the {object}.",
            "One morning {he} went {to} and took the {object} along.",
        ],
        &["But on the way {he} lost it.", "Then {he} looked around, and the {object} was gone.", "But soon the {object} was gone."],
        &["{name} was very sad.", "{He} looked and looked, but {he} could not find it.", "{name} began to cry."],
        &["{A_helper} came by and asked, \"What is wrong?\"", "Then {a_helper} saw {him} and asked, \"Why are you sad?\""],
        &["\"I lost my {object},\" said {name}.", "\"My {object} is gone,\" said {name}."],
        &[
            "They looked together, and the {helper} found it behind a big stone.",
            "The {helper} looked under a stone, and there was the {object}!",
            "The {helper} helped {him}, and soon they found the {object}.",
        ],
        &["\"Thank you!\" said {name}.", "{name} was happy again and said, \"Thank you!\""],
    ],
};

const IN_THE_TREE: Plot = Plot {
    fits: |object| object.light,
    closings: NEW_FRIENDS,
    wet: false,
    steps: &[
        &["One day {he} went {to} with {an_object}.", "One windy day {name} took {his} {look_object} {to}."],
        &["A strong wind came and took the {object} up into a tree.", "Then the wind blew, and the {object} flew up into a high tree."],
        &["{name} jumped and jumped, but the tree was too high.", "{He} could not reach it."],
        &["{A_helper} saw {him} and said, \"I can help you.\"", "Then {a_helper} came and asked, \"Can I help you?\""],
        &[
            "The {helper} shook the tree, and the {object} fell down.",
            "The {helper} took a long stick and got the {object} down.",
            "They shook the tree together until the {object} fell down.",
        ],
        &["\"Thank you!\" said {name}.", "{name} laughed and thanked the {helper}."],
        &["", "Now {he} held the {object} with both hands."],
    ],
};

const BROKEN: Plot = Plot {
    fits: |object| object.breaks,
    closings: NEW_FRIENDS,
    wet: true,
    steps: &[
        &["{name} had {an_object}.", "{His} mom gave {him} {an_object}."],
        &["One day {he} was {at} with the {object}.", "One day {he} took it {to}."],
        &["{He} fell, and the {object} broke.", "The {object} fell on a stone and broke.", "But the {object} hit a rock and broke."],
        &["\"Oh no, my {object}!\" said {name}.", "{name} cried, for {he} loved the {object}."],
        &["{A_helper} heard {him} and came to help.", "Then {a_helper} came and said, \"Do not be sad.\""],
        &[
            "The {helper} worked all day and fixed the {object}.",
            "\"I can fix it,\" said the {helper}, and soon the {object} was as good as new.",
            "Together they fixed the {object}.",
        ],
        &["\"You are so kind,\" said {name}.", "{name} gave the {helper} a big hug."],
    ],
};

const WISH: Plot = Plot {
    fits: |object| object.class != Sight,
    closings: HAPPY,
    wet: true,
    steps: &[
        &[
            "{name} wanted {a_plain_object}.",
            "More than anything, {name} wished for {a_plain_object}.",
            "\"I wish I had {a_plain_object},\" {name} said every day.",
        ],
        &["But {he} had no money.", "But {he} did not know where to find one.", "{He} looked at home, but there was none."],
        &["One day {he} went {to} and met {a_helper}.", "One day {he} met {a_helper} {at}."],
        &[
            "The {helper} had a heavy bag, and {name} helped to carry it.",
            "The {helper} was cold, so {name} made a warm fire.",
            "The {helper} was lost, and {name} showed the way.",
        ],
        &["\"You are kind,\" said the {helper}. \"What do you wish for?\"", "\"Thank you,\" said the {helper}. \"What can I give you?\""],
        &["\"{A_plain_object}!\" said {name}.", "{name} told the {helper} about the {object}."],
        &["The next day the {helper} gave {him} {an_object}.", "The {helper} smiled and gave {him} {an_object}."],
        &["{name} was so happy that {he} danced.", "\"Thank you! Now my wish came true,\" said {name}."],
    ],
};

const SHARED_TOY: Plot = Plot {
    fits: |object| object.class == Toy,
    closings: NEW_FRIENDS,
    wet: true,
    steps: &[
        &["One day {name} saw {an_object} {at}.", "One day {he} went {to} and found {an_object}."],
        &["But {a_helper} saw it too.", "At the same time {a_helper} came to get it."],
        &["\"It is mine!\" said {name}. \"No, it is mine!\" said the {helper}.", "They both wanted to {use} the {object}."],
        &["They pulled and pulled, and both were angry.", "They were loud and angry."],
        &["Then {name} had an idea. \"We can share it,\" {he} said.", "Then the {helper} said, \"Let us {use} it together.\""],
        &["First {name} had the {object}, and then the {helper} had it.", "So they took turns with the {object}."],
        &["It was much more fun together.", "They laughed and played until it was dark."],
    ],
};

const CHEERED: Plot = Plot {
    fits: |object| object.class != Sight,
    closings: NEW_FRIENDS,
    wet: true,
    steps: &[
        &["One day {name} saw {a_helper} {at}.", "One day {he} went {to} and saw {a_helper}."],
        &["The {helper} was sad and sat all alone.", "The {helper} was crying."],
        &["\"Why are you sad?\" asked {name}.", "\"What is wrong?\" asked {name}."],
        &["\"I have no friends,\" said the {helper}.", "\"Nobody wants to play with me,\" said the {helper}."],
        &["{name} went away and came back with {an_object}.", "{name} thought for a while and came back with {an_object}."],
        &["\"This {object} is for you,\" {he} said.", "\"Take this {object}. I will be your friend,\" said {name}."],
        &["The {helper} looked at the {object} and smiled.", "Now the {helper} was not sad any more."],
    ],
};

const WAY_HOME: Plot = Plot {
    fits: |object| object.class != Sight,
    closings: NEW_FRIENDS,
    wet: false,
    steps: &[
        &["One day {he} went {to} with {an_object}.", "One day {he} took {an_object} and went {to}."],
        &["{He} walked and walked until {he} was lost.", "It got dark, and {name} did not know the way home."],
        &["{name} was afraid.", "\"Where is my house?\" {he} cried."],
        &["Then {a_helper} came and said, \"I know the way.\"", "Then {he} heard a voice. It was {a_helper}."],
        &["The {helper} took {him} home.", "Together they walked home under the stars."],
        &["{His} mom was so glad to see {him}.", "At home there was a warm bed for {him}."],
        &["To say thank you, {name} gave the {helper} the {object}.", "{name} gave the {object} to the {helper} and said, \"Thank you!\""],
    ],
};

const FOUND: Plot = Plot {
    fits: |object| matches!(object.class, Toy | Wear | Thing),
    closings: NEW_FRIENDS,
    wet: true,
    steps: &[
        &["One day {he} found {an_object} {at}.", "One day {he} went {to} and saw {an_object} on the ground."],
        &["\"Who lost this {object}?\" {he} asked.", "\"This {object} is not mine,\" {he} thought."],
        &["{He} wanted to keep it, but that was not right.", "{name} liked it, but {he} wanted to give it back."],
        &["So {he} asked everyone, but nobody knew.", "So {he} looked for the owner all day."],
        &["At last {he} met {a_helper} with sad eyes.", "Then {he} saw {a_helper} who was looking for something."],
        &["\"Is this your {object}?\" asked {name}.", "\"Did you lose {a_plain_object}?\" asked {name}."],
        &["\"Yes! Thank you so much!\" said the {helper}.", "The {helper} was so glad and said, \"Yes, thank you!\""],
    ],
};

const HUNGRY: Plot = Plot {
    fits: |object| object.class == Food,
    closings: HAPPY,
    wet: true,
    steps: &[
        &["One day {he} went {to} with {a_plain_object}.", "One day {name} sat {at} and wanted to eat {a_plain_object}."],
        &["Then {a_helper} came by.", "{A_helper} came and looked at the {object}."],
        &["\"I am so hungry,\" said the {helper}.", "The {helper} had no food at all."],
        &["{name} had only one {object}, but {he} was kind.", "{name} thought for a while."],
        &["{He} cut the {object} in two and gave one half to the {helper}.", "\"We can share the {object},\" said {name}."],
        &["They ate it together, and it was very good.", "They sat down and ate the {object}."],
        &["The next day the {helper} came back with a big basket of food for {name}.", "\"You are a good friend,\" said the {helper}."],
    ],
};

const BIRTHDAY: Plot = Plot {
    fits: |object| object.class != Sight,
    closings: HAPPY,
    wet: true,
    steps: &[
        &["{name} had a friend, {a_plain_helper}.", "{His} best friend was {a_plain_helper}."],
        &["One day it was the birthday of the {helper}.", "\"Tomorrow is my birthday,\" said the {helper}."],
        &["\"What can I give my friend?\" thought {name}.", "{name} wanted to give the {helper} something nice."],
        &["{He} went {to} and looked for a long time.", "So {he} went {to}."],
        &["There {he} found {an_object}.", "There {he} saw {an_object}, and it was just right."],
        &["{He} put the {object} in a box and gave it to the {helper}.", "\"This {object} is for you,\" said {name} to the {helper}."],
        &["The {helper} was very happy.", "\"It is the best gift of all!\" said the {helper}."],
    ],
};

const AFRAID: Plot = Plot {
    fits: |object| object.class == Toy,
    closings: NEW_FRIENDS,
    wet: true,
    steps: &[
        &["One day {he} went {to} to {use} {his} {look_object}.", "One day {name} was {at} with {his} {look_object}."],
        &["Then {a_helper} came, and {name} was afraid.", "Suddenly {he} saw {a_helper} and was afraid."],
        &["{He} hid behind a stone.", "{He} wanted to run away."],
        &[
            "But the {helper} said, \"Do not be afraid. I like your {object}.\"",
            "\"Please do not go,\" said the {helper}. \"I only want to {use} the {object}.\"",
        ],
        &["{name} came out and smiled.", "{name} saw that the {helper} was nice."],
        &["They began to {use} the {object} together.", "\"Then let us {use} it together,\" said {name}."],
        &["They had so much fun.", "{name} was not afraid any more."],
    ],
};

const IN_THE_SKY: Plot = Plot {
    fits: |object| object.class == Sight,
    closings: HAPPY,
    wet: true,
    steps: &[
        &["One day {he} was {at} and saw {an_object}.", "One day {name} went {to} and saw {an_object} in the sky."],
        &["\"I want to have the {object},\" said {name}.", "\"How beautiful! I want to touch the {object},\" {he} said."],
        &["{He} jumped and jumped, but it was too far away.", "{He} stood on a big stone, but {he} could not reach it."],
        &["{A_helper} saw {him} and laughed.", "Then {a_helper} came and asked, \"What are you doing?\""],
        &[
            "\"Nobody can have the {object},\" said the {helper}, \"but we can look at it together.\"",
            "\"The {object} is for all of us,\" said the {helper}.",
        ],
        &["So they sat down and looked at the {object}.", "They sat side by side and looked up at the {object}."],
        &["{name} was glad to have a friend.", "It was more beautiful with a friend."],
    ],
};
