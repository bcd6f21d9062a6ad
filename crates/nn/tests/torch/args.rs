//! Constructor arguments of PyTorch's modules that a case may have.

#![allow(clippy::expect_used, reason = "helpers of tests are tests too")]

use mapsto_tensor::testing::Golden;
use serde_json::Value;

/// Panics when an argument is none of `known`, because ignoring it would check another module.
pub(crate) fn assert_args(golden: &Golden, known: &[&str]) {
    let args: Value = serde_json::from_str(golden.meta("args")).expect("args as JSON");
    for key in args.as_object().expect("an object of args").keys() {
        assert!(
            known.contains(&key.as_str()),
            "{}: {} has no option {key}",
            golden.name,
            golden.meta("module")
        );
    }
}

/// The modules that the cases are about, in order, each once.
pub(crate) fn modules(cases: &[Golden]) -> Vec<&str> {
    let mut modules: Vec<&str> = cases.iter().map(|case| case.meta("module")).collect();
    modules.sort_unstable();
    modules.dedup();
    modules
}
