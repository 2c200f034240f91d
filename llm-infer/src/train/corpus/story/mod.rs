//! Little stories with the asked things in them.
//!
//! The things asked for become the hero, the helper, the object or the place of a plot ([`plots`]); what is not asked for is
//! drawn. Every plot names its hero, helper, object and place, so a story always holds what was asked.

mod cast;
mod plots;
mod things;

use rand::Rng;
use rand::rngs::StdRng;

use self::cast::{Cast, with_article};
use super::topic::{Fact, Split, Topic};
use super::wording::{Wording, fnv1a, request, unseen, whole};
use super::{Check, Kind};

/// How every story ends.
const THE_END: &str = "The end.";

/// One in this many pairs of things is only for evaluation.
const UNSEEN_OF: u64 = 8;

const ABOUT: &[Wording] = &[
    request("tell me a story about {x}"),
    request("tell a story about {x}"),
    request("tell me a little story about {x}"),
    request("write a story about {x}"),
    request("tell me a short story about {x}"),
    request("write a short story about {x}"),
    request("make up a story about {x}"),
    request("write a little story about {x}"),
    request("tell me something about {x} in a story"),
    request("write me a story about {x}"),
    request("give me a story about {x}"),
    request("tell a short story about {x}"),
    request("tell a little story about {x}"),
    request("tell me a nice story about {x}"),
    request("tell me a story with {x}"),
    request("write a story with {x}"),
    request("tell us a story about {x}"),
    request("invent a story about {x}"),
    whole("a story about {x}, please"),
    whole("a short story about {x}"),
    whole("please, a little story about {x}"),
    whole("a story with {x}, please"),
    whole("story about {x}"),
    whole("I want to hear a story about {x}."),
    whole("I would like to hear a story about {x}."),
    whole("I want a story about {x}."),
    whole("do you know a story about {x}?"),
    whole("do you have a story about {x}?"),
    whole("can I have a story about {x}?"),
    unseen(request("write a nice story about {x}")),
    unseen(request("make up a little story about {x}")),
    unseen(whole("do you know a little story about {x}?")),
    unseen(whole("I would like to hear a little story about {x}.")),
    unseen(request("tell me a short story with {x}")),
    unseen(request("invent a short story about {x}")),
    unseen(request("write me a little story about {x}")),
    unseen(whole("I want to hear a short story with {x}.")),
];

const ANY: &[Wording] = &[
    request("tell me a story"),
    request("tell a story"),
    request("tell me a little story"),
    request("tell me a short story"),
    request("write a story"),
    request("write a short story"),
    request("make up a story"),
    request("tell me another story"),
    request("tell me a nice story"),
    request("write me a story"),
    whole("a short story"),
    whole("another story, please"),
    whole("story"),
    whole("story time!"),
    whole("a story, please"),
    whole("I want to hear a story."),
    whole("do you know a story?"),
    whole("do you know any stories?"),
    whole("can I hear a story?"),
    unseen(request("write a little story")),
    unseen(whole("a little story, please")),
    unseen(whole("I would like to hear a story.")),
    unseen(request("make up a short story")),
    unseen(whole("can I hear a short story?")),
];

/// Stories with and without things asked for.
pub(super) fn topics() -> Vec<Topic> {
    vec![Topic::made(Kind::Story, 26.0, ABOUT, about), Topic::made(Kind::Story, 1.5, ANY, |rng, _| any(rng))]
}

/// Whether `answer` has four sentences and ends as stories do.
pub(super) fn is_story(answer: &str) -> bool {
    answer.trim_end().ends_with(THE_END) && answer.matches(['.', '!', '?']).count() >= 4
}

/// A story about nothing in particular.
fn any(rng: &mut StdRng) -> Fact {
    let cast = Cast::draw(rng);
    Fact::new(Vec::new(), cast.tell(false, rng), Check::Story { things: Vec::new() })
}

/// A story about one to three things.
///
/// Pairs of things kept for evaluation are drawn again for training, and the other way round.
fn about(rng: &mut StdRng, split: Split) -> Fact {
    loop {
        let cast = Cast::draw(rng);
        let request = Request::draw(&cast, rng);
        if request.has_unseen_pair() == (split == Split::Evaluation) {
            let check = Check::Story { things: request.things.iter().map(|&thing| thing.to_owned()).collect() };
            return Fact::new(vec![("x", request.text)], cast.tell(request.gift, rng), check);
        }
    }
}

/// What a user wants a story to be about.
struct Request {
    /// The things in words: `a dog and a ball`.
    text: String,
    /// Their nouns, and the name if one is asked for.
    things: Vec<&'static str>,
    /// Whether the second object is among them.
    gift: bool,
}

impl Request {
    /// Asks for some of the parts of a story.
    fn draw(cast: &Cast, rng: &mut StdRng) -> Self {
        let mut request = Self { text: String::new(), things: Vec::new(), gift: false };
        let hero = request.hero(cast, rng);
        let object = cast
            .look
            .filter(|_| rng.random_bool(0.2))
            .map_or_else(|| cast.object.noun.to_owned(), |look| format!("{look} {}", cast.object.noun));
        let (object, helper, gift) = (with_article(&object), with_article(cast.helper.noun), with_article(cast.gift.noun));
        let (hero_noun, object_noun, helper_noun, gift_noun, place) =
            (cast.hero.noun, cast.object.noun, cast.helper.noun, cast.gift.noun, cast.place.noun);
        let (parts, things, place) = match rng.random_range(0..100) {
            0..6 => (vec![hero], vec![hero_noun], None),
            6..11 => (vec![object], vec![object_noun], None),
            11..32 => (vec![hero, object], vec![hero_noun, object_noun], None),
            32..56 => (vec![hero, helper], vec![hero_noun, helper_noun], None),
            56..63 => (vec![hero], vec![hero_noun, place], Some(cast.place.at)),
            63..68 => (vec![object], vec![object_noun, place], Some(cast.place.at)),
            68..83 => (vec![object, gift], vec![object_noun, gift_noun], None),
            83..95 => (vec![hero, helper, object], vec![hero_noun, helper_noun, object_noun], None),
            _ => (vec![hero, object], vec![hero_noun, object_noun, place], Some(cast.place.at)),
        };
        request.gift = things.contains(&gift_noun) && things.len() == 2;
        let alike = request.gift || things == [hero_noun, helper_noun];
        request.text = in_words(parts, alike, place, rng);
        request.things.splice(0..0, things);
        request
    }

    /// The hero as asked for: at times with the temper or by name.
    fn hero(&mut self, cast: &Cast, rng: &mut StdRng) -> String {
        match rng.random_range(0..100) {
            0..12 => with_article(&format!("{} {}", cast.temper, cast.hero.noun)),
            12..22 => format!("{} named {}", with_article(cast.hero.noun), cast.name),
            _ => with_article(cast.hero.noun),
        }
    }

    /// Whether two of the things are kept for evaluation; the order in which they are asked for does not matter.
    fn has_unseen_pair(&self) -> bool {
        let kept = |a: &&str, b: &&str| fnv1a(&format!("{} {}", a.min(b), a.max(b))).is_multiple_of(UNSEEN_OF);
        self.things.iter().enumerate().any(|(at, a)| self.things[at + 1..].iter().any(|b| kept(a, b)))
    }
}

/// The parts joined as people do, and the place. The first of two of a kind is the hero, or the object that is kept; what is of
/// another kind may stand before or behind.
fn in_words(mut parts: Vec<String>, alike: bool, place: Option<&str>, rng: &mut StdRng) -> String {
    if !alike && rng.random_bool(0.35) {
        parts.rotate_right(1);
    }
    let last = parts.pop().unwrap_or_default();
    let joined = if parts.is_empty() { last } else { format!("{} and {last}", parts.join(", ")) };
    place.map_or_else(|| joined.clone(), |place| format!("{joined} {place}"))
}
