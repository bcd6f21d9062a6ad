//! The multiply-adds that the matrix ops report.

use mapsto_tensor::ops::{
    AttentionDecoderWeights, AttentionInputs, AttentionMask, AttentionMemory, AttentionOptions,
    Conv2dParams, Look, Recurrence, RecurrentWeights, Targets, attention_decoder, conv2d, linear,
    linear_cross_entropy, multi_head_attention,
};
use mapsto_tensor::{macs, testing::wave};

#[test]
fn convolution_and_linear_count_by_the_definition() {
    let params = Conv2dParams {
        stride: (2, 1),
        groups: 2,
        ..Default::default()
    };
    let (x, w) = (wave((3, 4, 7, 8), 0.1), wave((6, 2, 3, 2), 0.2));
    let (y, count) = macs::count(|| conv2d(&x, &w, None, &params).unwrap());
    assert_eq!(y.dims(), [3, 6, 3, 7]);
    assert_eq!(count, 3 * 6 * 3 * 7 * (2 * 3 * 2));
    let (_, count) = macs::count(|| linear(&x, &wave((5, 8), 0.3), None).unwrap());
    assert_eq!(count, (3 * 4 * 7) * 8 * 5);
}

#[test]
fn an_inner_count_is_part_of_the_outer_one() {
    let (x, w) = (wave((2, 3), 0.1), wave((4, 3), 0.2));
    let run = || linear(&x, &w, None).unwrap();
    run();
    let ((_, inner), outer) = macs::count(|| {
        run();
        macs::count(run)
    });
    assert_eq!((inner, outer), (24, 48));
}

#[test]
fn cross_entropy_of_a_linear_map_counts_the_map() {
    let (x, w) = (wave((6, 8), 0.1), wave((5, 8), 0.2));
    let targets = Targets::Classes {
        labels: vec![Some(2); 6],
        weights: None,
        smoothing: 0.0,
    };
    let (_, count) = macs::count(|| linear_cross_entropy(&x, &w, None, targets).unwrap());
    assert_eq!(count, 6 * 8 * 5);
}

#[test]
fn attention_counts_scores_and_what_is_mixed() {
    let q = wave((2, 3, 8), 0.1);
    let (k, v) = (wave((2, 5, 8), 0.2), wave((2, 5, 6), 0.3));
    let inputs = AttentionInputs::Apart(&q, &k, &v);
    let (mask, options) = (AttentionMask::default(), AttentionOptions::new(2));
    let (_, count) = macs::count(|| multi_head_attention(inputs, &mask, &options).unwrap());
    // Two heads, each of half of the keys and of half of the values.
    assert_eq!(count, 2 * 2 * (3 * 5) * (4 + 3));
}

#[test]
fn a_decoder_counts_gates_question_scores_and_what_is_mixed() {
    // Steps, rows, inputs, units, places, values, and numbers that are compared.
    let [t, b, e, h, s, c, a] = [6usize, 2, 3, 4, 5, 7, 8];
    for kind in [Recurrence::Gru, Recurrence::Lstm] {
        let width = kind.gates() * h;
        let memory = AttentionMemory {
            values: wave((b, s, c), 0.1),
            keys: wave((b, s, a), 0.2),
            lengths: None,
            seen: None,
            found: None,
        };
        let weights = AttentionDecoderWeights {
            cell: RecurrentWeights {
                weight_ih: wave((width, e + c), 0.3),
                weight_hh: wave((width, h), 0.4),
                biases: None,
            },
            query: wave((a, h), 0.5),
            energy: wave((1, a), 0.6),
            coverage: None,
            look: Look::Before,
        };
        let (x, states) = (wave((t, b, e), 0.7), wave((kind.states(), b, h), 0.8));
        let walk = || attention_decoder(kind, &x, &memory, &weights, &states).unwrap();
        let (_, count) = macs::count(walk);
        let step = width * (e + c + h) + a * h + s * (a + c);
        assert_eq!(count, (t * b * step) as u64, "{kind:?}");
    }
}
