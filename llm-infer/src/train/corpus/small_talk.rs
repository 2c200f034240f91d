//! Hello, thanks, goodbye, names, feelings and a joke.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};

use super::topic::{Fact, Topic};
use super::wording::{Style, Wording, clause, question, request, unseen, whole};
use super::{Check, Kind};

const HELLO: &[Wording] = &[
    whole("hello"),
    whole("hello!"),
    whole("hi"),
    whole("hi!"),
    whole("hey"),
    whole("hey!"),
    whole("hello there!"),
    whole("hi there!"),
    whole("hey there!"),
    whole("hello, llm!"),
    whole("hi, llm!"),
    whole("hello, hello!"),
    whole("hi, hello!"),
    whole("good day!"),
    whole("hello, good day!"),
    whole("hello, my friend!"),
    whole("hi, my friend!"),
    whole("hey llm"),
    whole("oh, hello!"),
    whole("oh, hi there!"),
    whole("hello, little model!"),
    whole("hi, little model!"),
    whole("hello again!"),
    whole("hi again!"),
    whole("say hello"),
    whole("greetings!"),
    whole("hello, nice to meet you!"),
    whole("nice to meet you!"),
    whole("hello, are you there?"),
    whole("are you there?"),
    whole("hello, friend!"),
    whole("howdy!"),
    whole("hi, friend!"),
    whole("hello, you!"),
    unseen(whole("hey, my friend!")),
    unseen(whole("hello there, llm!")),
    unseen(whole("hi there, my friend!")),
    unseen(whole("oh, hello there!")),
    unseen(whole("hi, nice to meet you!")),
    unseen(whole("hey there, llm!")),
    unseen(whole("hey, little model!")),
    unseen(whole("hey again!")),
    unseen(whole("hi, are you there?")),
    unseen(whole("hi there, little model!")),
    unseen(whole("hey there, friend!")),
    unseen(whole("good day, llm!")),
];

const TIME_OF_DAY: &[Wording] = &[
    whole("good {t}"),
    whole("good {t}!"),
    whole("good {t}, llm!"),
    whole("hello, good {t}!"),
    whole("hi, good {t}!"),
    whole("a good {t} to you!"),
    whole("good {t}, my friend!"),
    whole("good {t} to you!"),
    whole("good {t}, little model!"),
    whole("I wish you a good {t}!"),
    unseen(whole("hey, good {t}!")),
    unseen(whole("good {t}, friend!")),
    unseen(whole("hello llm, good {t}!")),
    unseen(whole("a good {t}, my friend!")),
];

const HOW_ARE_YOU: &[Wording] = &[
    question("how are you"),
    question("how are you today"),
    question("how do you do"),
    question("how do you feel"),
    question("are you well"),
    question("how is it going"),
    question("are you ok"),
    question("how do you feel today"),
    question("are you fine"),
    clause("how you are"),
    clause("how you feel"),
    whole("how are you doing?"),
    whole("what's up?"),
    unseen(question("how are you feeling")),
    unseen(question("are you well today")),
    unseen(clause("how you feel today")),
];

const THANKS: &[Wording] = &[
    whole("thanks"),
    whole("thank you"),
    whole("thanks!"),
    whole("thank you!"),
    whole("thank you very much!"),
    whole("thanks a lot!"),
    whole("thank you, llm!"),
    whole("thanks, llm!"),
    whole("many thanks!"),
    whole("thank you so much!"),
    whole("great, thanks!"),
    whole("great, thank you!"),
    whole("ok, thanks!"),
    whole("ok, thank you!"),
    whole("good, thank you!"),
    whole("nice, thank you!"),
    whole("thanks for your help!"),
    whole("thank you for your help!"),
    whole("thanks, my friend!"),
    whole("oh, thank you!"),
    whole("wow, thanks!"),
    whole("that was nice, thank you!"),
    whole("I thank you!"),
    whole("thanks again!"),
    whole("thank you again!"),
    whole("you are very kind, thank you!"),
    unseen(whole("good, thanks!")),
    unseen(whole("nice, thanks!")),
    unseen(whole("oh, thanks a lot!")),
    unseen(whole("thank you, my friend!")),
    unseen(whole("wow, thank you!")),
    unseen(whole("great, thanks a lot!")),
    unseen(whole("thanks so much!")),
    unseen(whole("ok, thanks for your help!")),
    unseen(whole("that was great, thank you!")),
];

const GOODBYE: &[Wording] = &[
    whole("bye"),
    whole("goodbye"),
    whole("bye!"),
    whole("goodbye!"),
    whole("bye bye!"),
    whole("bye, llm!"),
    whole("goodbye, llm!"),
    whole("see you!"),
    whole("see you soon!"),
    whole("see you later!"),
    whole("good night!"),
    whole("good night, llm!"),
    whole("I have to go."),
    whole("I have to go now."),
    whole("I must go now."),
    whole("ok, bye!"),
    whole("thanks, bye!"),
    whole("thank you and goodbye!"),
    whole("bye for now!"),
    whole("goodbye, my friend!"),
    whole("see you tomorrow!"),
    whole("I am going now, bye!"),
    whole("farewell!"),
    whole("until next time!"),
    whole("bye, see you!"),
    whole("it is late, goodbye!"),
    unseen(whole("ok, goodbye!")),
    unseen(whole("bye, my friend!")),
    unseen(whole("bye, see you soon!")),
    unseen(whole("thank you, bye!")),
    unseen(whole("I have to go, bye!")),
    unseen(whole("goodbye for now!")),
    unseen(whole("see you soon, llm!")),
    unseen(whole("goodbye, see you later!")),
    unseen(whole("I must go now, goodbye!")),
];

const MY_NAME: &[Wording] = &[
    whole("my name is {name}."),
    whole("I am {name}."),
    whole("I'm {name}."),
    whole("hello, I am {name}."),
    whole("hi, I am {name}."),
    whole("hello, my name is {name}."),
    whole("hi, my name is {name}."),
    whole("hello! my name is {name}."),
    whole("hi! I'm {name}."),
    whole("hey, I am {name}."),
    whole("call me {name}."),
    whole("please call me {name}."),
    whole("you can call me {name}."),
    whole("hello llm, I am {name}."),
    whole("hi llm, my name is {name}."),
    whole("good morning, my name is {name}."),
    unseen(whole("hey, my name is {name}.")),
    unseen(whole("hello there, I am {name}.")),
    unseen(whole("hey llm, I am {name}.")),
    unseen(whole("hello, you can call me {name}.")),
    unseen(whole("hi, please call me {name}.")),
    unseen(whole("good morning, I am {name}.")),
];

const RECALL: &[&str] = &[
    "what is my name?",
    "what's my name?",
    "do you know my name?",
    "do you remember my name?",
    "who am I?",
    "tell me my name.",
    "can you tell me my name?",
    "please tell me my name.",
    "so what is my name?",
    "now, what is my name?",
    "say my name.",
    "what was my name?",
];

const FEELINGS: &[(&str, &str)] = &[
    ("sad", "I am sorry to hear that. Shall I tell you a story?"),
    ("happy", "That is good to hear!"),
    ("tired", "Then you should rest a little."),
    ("hungry", "Then you should eat something good."),
    ("bored", "Then ask me for a story!"),
    ("sick", "I am sorry to hear that. Get well soon!"),
];

const I_FEEL: &[Wording] = &[
    whole("I am {x}."),
    whole("I'm {x}."),
    whole("I feel {x}."),
    whole("I am very {x}."),
    whole("I am so {x}."),
    whole("I am {x} today."),
    whole("I feel {x} today."),
    whole("oh, I am {x}."),
    whole("I am a little {x}."),
    whole("I am {x} now."),
    whole("I feel so {x}."),
    whole("llm, I am {x}."),
    whole("hello, I am {x}."),
    whole("I am feeling {x}."),
    whole("today I am {x}."),
    unseen(whole("I feel very {x}.")),
    unseen(whole("I am so {x} today.")),
    unseen(whole("oh, I feel {x}.")),
    unseen(whole("today I feel {x}.")),
    unseen(whole("I feel a little {x}.")),
];

const JOKE: &[Wording] = &[
    request("tell me a joke"),
    request("tell a joke"),
    request("make a joke"),
    request("make me laugh"),
    question("do you know a joke"),
    question("do you have a joke for me"),
    request("say something funny"),
    request("tell me something funny"),
    whole("a joke, please"),
    whole("joke"),
    unseen(request("tell me a funny joke")),
    unseen(question("do you know any jokes")),
    unseen(whole("I want a joke")),
];

/// The names that the model knows.
const NAMES: &str = "Anna Ben Tom Lily Max Mia Sam Sue Tim Lucy Jack Jane Kate Mary Paul Peter Emma Leo Nina Rosa \
    Sara Dan Amy Bob Joe Jim Eva Ella Finn Nora Oscar Ruth Adam Alice David Julia Maria Mark Nick Olga \
    Rob Tina Zoe Lena Ali Omar Yuki Ivan Hugo Clara";

/// A topic with one answer, right when it holds its own telling words.
pub(super) fn single(kind: Kind, weight: f64, wordings: &[Wording], answer: &str, check: Check) -> Topic {
    Topic::listed(kind, weight, wordings, vec![Fact::new(Vec::new(), answer, check)])
}

/// Greetings, thanks, names, feelings and a joke.
pub(super) fn topics() -> Vec<Topic> {
    let talk = |weight, wordings, answer, telling| single(Kind::SmallTalk, weight, wordings, answer, Check::says(&[telling]));
    vec![
        talk(1.6, HELLO, HELLO_BACK, "Hello! How can I help you"),
        time_of_day(),
        talk(0.8, HOW_ARE_YOU, "I am fine, thank you. How can I help you?", "I am fine"),
        talk(0.8, THANKS, THANKS_BACK, "welcome"),
        talk(0.8, GOODBYE, GOODBYE_BACK, "Goodbye"),
        talk(0.5, JOKE, "Why did the cow look up? It wanted to see the moo-n!", "moo"),
        Topic::listed(Kind::SmallTalk, 0.8, MY_NAME, NAMES.split(' ').map(name_fact).collect()),
        feelings(),
    ]
}

const HELLO_BACK: &str = "Hello! How can I help you?";
const THANKS_BACK: &str = "You are welcome!";
const GOODBYE_BACK: &str = "Goodbye! See you soon.";

fn time_of_day() -> Topic {
    let fact = |time: &&str| {
        let greeting = format!("Good {time}");
        Fact::new(vec![("t", (*time).to_owned())], format!("{greeting}! How can I help you?"), Check::says(&[&greeting]))
    };
    Topic::listed(Kind::SmallTalk, 0.5, TIME_OF_DAY, ["morning", "afternoon", "evening"].iter().map(fact).collect())
}

fn feelings() -> Topic {
    let fact = |&(feeling, answer): &(&str, &str)| Fact::new(vec![("x", feeling.to_owned())], answer, Check::says(&[answer]));
    Topic::listed(Kind::SmallTalk, 0.6, I_FEEL, FEELINGS.iter().map(fact).collect())
}

fn name_fact(name: &str) -> Fact {
    Fact::new(vec![("name", name.to_owned())], format!("Hello, {name}! Nice to meet you."), Check::says(&[name]))
}

/// A prompt of `wordings` that training may use.
fn say(wordings: &'static [Wording], answer: &str, rng: &mut StdRng) -> (String, String) {
    let text = wordings.iter().filter_map(Wording::known_whole).collect::<Vec<_>>().choose(rng).copied().unwrap_or("hello");
    (Style::draw(rng).apply(text), answer.to_owned())
}

/// A greeting that opens a longer dialogue.
pub(super) fn greeting(rng: &mut StdRng) -> (String, String) {
    say(HELLO, HELLO_BACK, rng)
}

/// Thanks or a goodbye that ends a longer dialogue.
pub(super) fn thanks(rng: &mut StdRng) -> (String, String) {
    if rng.random_bool(0.6) { say(THANKS, THANKS_BACK, rng) } else { say(GOODBYE, GOODBYE_BACK, rng) }
}

/// The user says a name, and a question that only this turn can answer.
pub(super) fn name_and_recall(rng: &mut StdRng) -> ((String, String), (String, String)) {
    let name = NAMES.split(' ').choose(rng).unwrap_or("Anna");
    let fact = name_fact(name);
    let (template, _) = say(MY_NAME, "", rng);
    let told = fact.ask(&template);
    let asked = RECALL.choose(rng).copied().unwrap_or("what is my name?");
    ((told, fact.answer), (Style::draw(rng).apply(asked), format!("Your name is {name}.")))
}
