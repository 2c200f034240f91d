//! Conversations that outgrow the context go on, and say what they forgot.

use std::ops::ControlFlow;

use burn::tensor::DType;
use llm_infer::conversation::Conversation;
use llm_infer::session::Session;

use crate::support::{cpu, fixture, greedy, load};

#[test]
fn a_conversation_that_outgrows_the_context_forgets_its_beginning() {
    let model = load(&fixture("qwen3"), &cpu());
    let mut conversation = Conversation::new(Session::with(&model, 96, DType::F32)).expect("template");
    conversation.set_system(Some("short"));
    let mut forgotten = 0;
    for turn in 0..6 {
        conversation.answer(&format!("the cat sat on mat {turn}"), &greedy(12), &mut |_| ControlFlow::Continue(())).expect("answer");
        forgotten += conversation.forgotten();
        assert_eq!(conversation.messages()[0].role, "system");
        assert!(conversation.session().tokens().len() <= 96);
    }
    assert!(forgotten > 0, "96 tokens do not hold six turns");
    assert_eq!(forgotten % 2, 0, "questions go with their answers");
}
