//! Training: the corpus of the embedded model.

pub mod corpus;
