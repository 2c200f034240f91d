//! Who and what plays in one story, and how it is told.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::super::wording::fill;
use super::plots::{GIFTS, OPENINGS, PLOTS, Plot};
use super::things::{BEINGS, Being, Class, HE, LOOKS, OBJECTS, Object, PLACES, Place, SHE, Sex, TEMPERS};

/// The parts of a story.
pub(super) struct Cast {
    /// Whose wish it is.
    pub hero: &'static Being,
    /// How the hero is.
    pub temper: &'static str,
    /// What the hero is called.
    pub name: &'static str,
    she: bool,
    /// Who helps.
    pub helper: &'static Being,
    /// What it turns around.
    pub object: &'static Object,
    /// How the object looks.
    pub look: Option<&'static str>,
    /// A second object.
    pub gift: &'static Object,
    /// Where it happens.
    pub place: &'static Place,
    plot: &'static Plot,
}

/// `a` or `an` before the words.
pub(super) fn with_article(words: &str) -> String {
    let article = if words.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    let article = if matches!(words, "moon" | "sun") { "the" } else { article };
    format!("{article} {words}")
}

/// A thing of the list that `fits`; every list has one for every condition asked here.
fn pick<T>(list: &'static [T], rng: &mut StdRng, fits: impl Fn(&T) -> bool) -> &'static T {
    loop {
        if let Some(found) = list.choose(rng).filter(|item| fits(item)) {
            return found;
        }
    }
}

impl Cast {
    /// Draws parts that fit together.
    pub fn draw(rng: &mut StdRng) -> Self {
        let hero = pick(BEINGS, rng, |_| true);
        let helper = pick(BEINGS, rng, |being| being != hero);
        let wet = hero.swims || helper.swims;
        let object = pick(OBJECTS, rng, |_| true);
        let she = match hero.sex {
            Sex::He => false,
            Sex::She => true,
            Sex::Either => rng.random_bool(0.5),
        };
        let looks = !matches!(object.class, Class::Food | Class::Sight) && rng.random_bool(0.5);
        Self {
            hero,
            temper: *pick(TEMPERS, rng, |&temper: &&str| hero.noun != "giant" || !matches!(temper, "little" | "small")),
            name: *pick(if she { SHE } else { HE }, rng, |_| true),
            she,
            helper,
            object,
            look: looks.then(|| *pick(LOOKS, rng, |_| true)),
            gift: pick(OBJECTS, rng, |gift| gift != object && gift.class != Class::Sight),
            place: pick(PLACES, rng, |place| place.wet || !wet),
            plot: pick(PLOTS, rng, |plot| (plot.fits)(object) && (plot.wet || !wet)),
        }
    }

    /// Tells the story, with the second object only if asked for.
    pub fn tell(&self, with_gift: bool, rng: &mut StdRng) -> String {
        let mut steps = vec![OPENINGS];
        steps.extend(self.plot.steps);
        steps.extend(with_gift.then_some(GIFTS));
        steps.extend([self.plot.closings, &[super::THE_END]]);
        let slots = self.slots();
        let slot = |name: &str| slots.iter().find(|(slot, _)| *slot == name).map(|(_, value)| value.as_str());
        let mut told: Vec<String> = steps.iter().filter_map(|step| step.choose(rng)).map(|sentence| fill(sentence, slot)).collect();
        told.retain(|sentence| !sentence.is_empty());
        told.join(" ")
    }

    fn slots(&self) -> [(&'static str, String); 17] {
        let (he, his, him) = if self.she { ("she", "her", "her") } else { ("he", "his", "him") };
        let looks_like = |noun: &str| self.look.map_or_else(|| noun.to_owned(), |look| format!("{look} {noun}"));
        [
            ("name", self.name.to_owned()),
            ("he", he.to_owned()),
            ("his", his.to_owned()),
            ("him", him.to_owned()),
            ("a_hero", with_article(&format!("{} {}", self.temper, self.hero.noun))),
            ("helper", self.helper.noun.to_owned()),
            ("a_helper", with_article(self.helper.noun)),
            ("a_plain_helper", with_article(self.helper.noun)),
            ("object", self.object.noun.to_owned()),
            ("look_object", looks_like(self.object.noun)),
            ("an_object", with_article(&looks_like(self.object.noun))),
            ("a_plain_object", with_article(self.object.noun)),
            ("use", self.object.verb.to_owned()),
            ("a_gift", with_article(self.gift.noun)),
            ("at", self.place.at.to_owned()),
            ("to", self.place.to.to_owned()),
            ("place", self.place.noun.to_owned()),
        ]
    }
}
