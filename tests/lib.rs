//! Integration tests of the workspace; see `whole/main.rs`.
