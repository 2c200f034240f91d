//! What must hold for the corpus as a whole.

use std::collections::{BTreeMap, HashMap, HashSet};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::wording::normalize;
use super::*;

/// Enough to meet every template many times.
const MANY: usize = 50_000;

/// The prompts of the users in `dialogues`, as words.
fn asked(dialogues: impl Iterator<Item = Dialogue>) -> HashSet<String> {
    let turns = dialogues.flat_map(|dialogue| dialogue.turns);
    turns.filter(|(role, _)| *role == Role::User).map(|(_, text)| normalize(&text)).collect()
}

/// What a slot can hold, as words.
type Values = HashMap<&'static str, HashSet<String>>;

/// The values that the slots of a topic took in many draws.
fn values(topic: &topic::Topic) -> Values {
    let mut rng = StdRng::seed_from_u64(5);
    let mut values = Values::new();
    for _ in 0..2_000 {
        for (slot, value) in topic.fact(&mut rng, topic::Split::Training).slots {
            values.entry(slot).or_default().insert(normalize(&value));
        }
    }
    values
}

/// Whether the words of a prompt can come from a template.
fn matches(template: &[&str], prompt: &[&str], values: &Values) -> bool {
    match (template.split_first(), prompt.split_first()) {
        (None, None) => true,
        (Some((slot, rest)), Some(_)) if slot.starts_with('{') => {
            let known = &values[slot.trim_matches(['{', '}'])];
            (1..=prompt.len()).any(|taken| known.contains(&prompt[..taken].join(" ")) && matches(rest, &prompt[taken..], values))
        }
        (Some((word, rest)), Some((said, more))) => word == said && matches(rest, more, values),
        _ => false,
    }
}

#[test]
fn the_same_seed_gives_the_same_dialogues() {
    let first: Vec<Dialogue> = training(7).take(500).collect();
    assert_eq!(first, training(7).take(500).collect::<Vec<_>>());
    assert_ne!(first, training(8).take(500).collect::<Vec<_>>());
    let prompts = |set: Vec<EvalPrompt>| set.into_iter().map(|prompt| (prompt.prompt, prompt.reference)).collect::<Vec<_>>();
    assert_eq!(prompts(evaluation()), prompts(evaluation()));
}

#[test]
fn training_never_asks_what_evaluation_asks() {
    let asked = asked(training(11).take(MANY));
    for prompt in evaluation() {
        assert!(!asked.contains(&normalize(&prompt.prompt)), "{prompt:?}");
    }
}

#[test]
fn training_never_uses_a_held_out_template() {
    let asked = asked(training(12).take(MANY));
    let mut by_first: HashMap<&str, Vec<Vec<&str>>> = HashMap::new();
    for prompt in &asked {
        let words: Vec<&str> = prompt.split(' ').collect();
        by_first.entry(words[0]).or_default().push(words);
    }
    let mut broken = Vec::new();
    for topic in topics() {
        let values = values(&topic);
        for held_out in &topic.held_out {
            let text = normalize(&held_out.text);
            let template: Vec<&str> = text.split(' ').collect();
            let candidates: Vec<_> = match template[0].starts_with('{') {
                true => by_first.values().flatten().collect(),
                false => by_first.get(template[0]).into_iter().flatten().collect(),
            };
            let used = candidates.iter().find(|prompt| matches(&template, prompt, &values));
            broken.extend(used.map(|prompt| format!("{}: `{}` is used: {}", topic.kind.name(), held_out.text, prompt.join(" "))));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn evaluation_covers_every_kind() {
    let mut counts = BTreeMap::new();
    for prompt in evaluation() {
        *counts.entry(prompt.kind).or_insert(0) += 1;
    }
    assert!(counts.values().sum::<usize>() >= 300, "{counts:?}");
    assert!(Kind::ALL.iter().all(|kind| counts.get(kind).is_some_and(|&count| count >= 30)), "{counts:?}");
}

#[test]
fn checks_accept_the_reference_and_reject_the_answers_to_other_questions() {
    let prompts = evaluation();
    for prompt in &prompts {
        assert!(prompt.check(&prompt.reference), "{prompt:?}");
        assert!(!prompt.check("") && !prompt.check("I like it."), "{prompt:?}");
        for other in prompts.iter().filter(|other| other.check != prompt.check && other.reference != prompt.reference) {
            let also_right = match (&prompt.check, &other.check) {
                (Check::Number { right, .. }, Check::Number { right: also, .. }) => right == also,
                (Check::Words { right, .. }, Check::Words { right: also, .. }) if right == also => true,
                (Check::Story { things }, _) => things.iter().all(|thing| other.reference.contains(thing)),
                _ => prompt.kind != other.kind,
            };
            assert!(also_right || !prompt.check(&other.reference), "{prompt:?} accepts {:?}", other.reference);
        }
    }
}

#[test]
fn the_same_question_has_the_same_answer() {
    let mut answers: HashMap<String, String> = HashMap::new();
    for dialogue in training(13).take(MANY) {
        let [(Role::User, question), (Role::Assistant, answer)] = &dialogue.turns[..] else { continue };
        if dialogue.kind != Kind::Story {
            let before = answers.entry(normalize_signs(question)).or_insert_with(|| answer.clone());
            assert_eq!(before, answer, "{question}");
        }
    }
}

/// The words with all signs of arithmetic.
fn normalize_signs(question: &str) -> String {
    normalize(&question.replace('*', " times ").replace('/', " over "))
}

#[test]
fn dialogues_have_the_shape_of_conversations() {
    for dialogue in training(14).take(5_000) {
        let turns: Vec<Role> = dialogue.turns.iter().map(|(role, _)| *role).filter(|role| *role != Role::System).collect();
        assert!(turns.chunks(2).all(|pair| pair == [Role::User, Role::Assistant]), "{dialogue:?}");
        assert!(dialogue.turns.iter().all(|(_, text)| !text.trim().is_empty() && !text.contains(['{', '}'])), "{dialogue:?}");
    }
}

#[test]
#[ignore = "prints samples to read"]
fn print_samples() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let count = std::env::var("COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(30);
    for dialogue in training(seed).take(count) {
        println!("[{}]", dialogue.kind.name());
        for (role, text) in dialogue.turns {
            println!("  {:9} {text}", role.name());
        }
    }
}

#[test]
#[ignore = "prints the held-out prompts"]
fn print_evaluation() {
    for prompt in evaluation() {
        println!("{:10} {:?} | {} | {} | {:?}", prompt.kind.name(), prompt.novelty, prompt.prompt, prompt.reference, prompt.check);
    }
}
