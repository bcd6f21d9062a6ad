# The verbs of this workspace; `.ci/run` calls the same ones.

_verbs:
    @just --list

# Is everything formatted? (`cargo fmt` does it.)
fmt:
    cargo fmt --all --check

# Clippy on everything, warnings as errors.
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# The documentation, warnings as errors.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace

# Is the crate graph the one in ARCHITECTURE.md, and is each example as short as it says?
graph:
    .ci/graph

# All tests; those on real data say that they were skipped unless MAPSTO_DATA is set.
test:
    cargo test --workspace

# Does each crate build alone, its tests too? The workspace's features would hide a missing one.
each:
    for crate in tensor nn optim data train models cli; do cargo check -p mapsto-$crate --all-targets || exit 1; done

# The tests of each crate alone: what `each` only builds. Half an hour, so for releases.
alone:
    for crate in tensor nn optim data train models cli; do cargo test -p mapsto-$crate || exit 1; done

# Every example, shortened.
examples:
    for file in examples/examples/*.rs; do STEPS=2 cargo run -q -p mapsto-examples --example $(basename $file .rs) || exit 1; done

# The tests on real data, in the folder that MAPSTO_DATA names by its absolute path.
data:
    test -d "${MAPSTO_DATA:?name a folder with mnist/, fashion-mnist/, ptb/, rt-polarity/ and multi30k/}"
    cargo test --workspace --test real

# The benchmarks; the arguments go to criterion.
bench *ARGS:
    cargo bench -p mapsto-tensor -p mapsto-models --bench ops --bench step -- {{ARGS}}

# Lines of Rust in each crate.
lines:
    for crate in crates/* examples; do echo "$(find $crate -name '*.rs' -exec cat {} + | wc -l) $crate"; done

# Everything that a change must pass.
ci:
    .ci/run
