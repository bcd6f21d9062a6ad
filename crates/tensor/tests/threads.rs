//! The bits of every kernel, forward and backward, do not depend on the number of threads.
#![allow(clippy::unwrap_used)]

use mapsto_tensor::ops::{
    AttentionDecoderWeights, AttentionMemory, AvgPool2dParams, Conv2dParams, ConvTranspose2dParams,
    Look, Nonlinearity, Order, Pool2dParams, Recurrence, RecurrentWeights, Targets, Then, Unary,
    UpsampleMode, attention_decoder, avg_pool2d, conv_transpose2d, conv2d, conv2d_then,
    cross_entropy_rows, dropout, linear, linear_cross_entropy, log_softmax, max_pool2d, recurrent,
    softmax, unary, upsample2d,
};
use mapsto_tensor::testing::wave;
use mapsto_tensor::{DType, Result, Tensor, Var, rng, update};

fn on<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build().unwrap().install(work)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

/// The bits of the output of `f` and of the gradients by all its inputs.
fn run(shapes: &[&[usize]], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Vec<Vec<u32>> {
    let vars: Vec<Var> = shapes
        .iter()
        .enumerate()
        .map(|(i, shape)| {
            wave(shape.to_vec(), 0.1 + i as f64)
                .to_dtype(DType::F32)
                .unwrap()
        })
        .map(|value| Var::from_tensor(&value).unwrap())
        .collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let y = f(&tensors).unwrap();
    let weights = wave(y.shape(), 0.7).to_dtype(DType::F32).unwrap();
    let grads = (&y * weights)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let grads = tensors.iter().map(|x| bits(grads.get(x).unwrap()));
    std::iter::once(bits(&y)).chain(grads).collect()
}

fn same_at_any_thread_count(
    name: &str,
    shapes: &[&[usize]],
    f: impl Fn(&[Tensor]) -> Result<Tensor> + Sync,
) {
    let one = on(1, || run(shapes, &f));
    for threads in [2, 3] {
        assert!(
            one == on(threads, || run(shapes, &f)),
            "{name} at {threads} threads"
        );
    }
}

#[test]
fn convolution() {
    let params = |groups| Conv2dParams {
        padding: (1, 0),
        groups,
        ..Default::default()
    };
    for batch in [1, 3, 37] {
        let x: &[usize] = &[batch, 8, 20, 21];
        for (groups, weight) in [(1, [16, 8, 3, 3]), (4, [16, 2, 3, 2]), (1, [24, 8, 1, 1])] {
            let name = format!("conv2d of {batch} pictures in {groups} groups");
            let bias: &[usize] = &weight[..1];
            same_at_any_thread_count(&name, &[x, &weight, bias], |t| {
                conv2d(&t[0], &t[1], Some(&t[2]), &params(groups))
            });
            let then = Then {
                slope: 0.0,
                max_pool: Some(Pool2dParams::new(2)),
            };
            same_at_any_thread_count(&name, &[x, &weight, bias], |t| {
                conv2d_then(&t[0], &t[1], Some(&t[2]), &params(groups), &then)
            });
        }
    }
}

#[test]
fn convolution_of_many_channels() {
    let params = Conv2dParams {
        padding: (1, 1),
        stride: (2, 2),
        ..Default::default()
    };
    let turned = ConvTranspose2dParams {
        conv: params,
        output_padding: (1, 0),
    };
    for batch in [1, 3, 17] {
        let name = format!("of {batch} pictures of many channels");
        let x: &[usize] = &[batch, 33, 12, 13];
        let shapes: [&[usize]; 3] = [x, &[40, 33, 4, 3], &[40]];
        same_at_any_thread_count(&format!("conv2d {name}"), &shapes, |t| {
            conv2d(&t[0], &t[1], Some(&t[2]), &params)
        });
        for (channels, weight) in [(33, [33, 40, 4, 3]), (3, [3, 5, 4, 3])] {
            let x: &[usize] = &[batch, channels, 12, 13];
            let shapes: [&[usize]; 3] = [x, &weight, &weight[1..2]];
            same_at_any_thread_count(&format!("conv_transpose2d {name}"), &shapes, |t| {
                conv_transpose2d(&t[0], &t[1], Some(&t[2]), &turned)
            });
        }
    }
}

#[test]
fn linear_maps() {
    for rows in [1, 33, 700] {
        let name = format!("linear of {rows} rows");
        same_at_any_thread_count(&name, &[&[rows, 190], &[130, 190], &[130]], |t| {
            linear(&t[0], &t[1], Some(&t[2]))
        });
    }
}

#[test]
fn recurrent_cells() {
    let tanh = Recurrence::Rnn(Nonlinearity::Tanh);
    // One row, a few, and so many that the pool takes the pass over the gates too.
    for (batch, input, hidden) in [(1, 20, 160), (5, 3, 70), (37, 30, 130)] {
        for kind in [tanh, Recurrence::Lstm, Recurrence::Gru] {
            let width = kind.gates() * hidden;
            let shapes: [&[usize]; 6] = [
                &[6, batch, input],
                &[width, input],
                &[width, hidden],
                &[kind.states(), batch, hidden],
                &[width],
                &[width],
            ];
            same_at_any_thread_count(&format!("{kind:?} of {batch} rows"), &shapes, |t| {
                let weights = RecurrentWeights {
                    weight_ih: t[1].clone(),
                    weight_hh: (&t[2] * 0.1)?,
                    biases: Some((t[4].clone(), t[5].clone())),
                };
                let order = Order {
                    reverse: batch == 5,
                    lengths: Some((0..batch).map(|row| 6 - row % 6).collect()),
                };
                let (y, states) = recurrent(kind, &t[0], &weights, &t[3], &order)?;
                Tensor::cat(&[y, states], 0)
            });
        }
    }
}

/// All that a decoder of 9 tensors gives, or of 11 with coverage.
fn decoded(kind: Recurrence, look: Look, t: &[Tensor]) -> Result<Tensor> {
    let (batch, places, _) = t[1].dims3()?;
    let memory = AttentionMemory {
        values: t[1].clone(),
        keys: t[2].clone(),
        lengths: Some((0..batch).map(|row| places - row % places).collect()),
        seen: t.get(10).cloned(),
        found: None,
    };
    let weights = AttentionDecoderWeights {
        cell: RecurrentWeights {
            weight_ih: (&t[3] * 0.1)?,
            weight_hh: (&t[4] * 0.1)?,
            biases: Some((t[5].clone(), t[5].clone())),
        },
        query: t[6].clone(),
        energy: t[7].clone(),
        coverage: t.get(9).cloned(),
        look,
    };
    let decoded = attention_decoder(kind, &t[0], &memory, &weights, &t[8])?;
    let all = [
        decoded.outputs,
        decoded.contexts,
        decoded.attention,
        decoded.states,
    ];
    let all = all
        .iter()
        .map(Tensor::flatten_all)
        .collect::<Result<Vec<_>>>()?;
    Tensor::cat(&all, 0)
}

#[test]
fn decoders_that_look_back() {
    let (batch, places) = (37, 9);
    for kind in [Recurrence::Gru, Recurrence::Lstm] {
        let width = kind.gates() * 70;
        let shapes: [&[usize]; 11] = [
            &[6, batch, 20],
            &[batch, places, 50],
            &[batch, places, 30],
            &[width, 20 + 50],
            &[width, 70],
            &[width],
            &[30, 70],
            &[1, 30],
            &[kind.states(), batch, 70],
            &[1, 30],
            &[batch, places],
        ];
        for look in [Look::Before, Look::After] {
            for shapes in [&shapes[..9], &shapes[..]] {
                let name = format!("{kind:?} of {} tensors, {look:?}", shapes.len());
                same_at_any_thread_count(&name, shapes, |t| decoded(kind, look, t));
            }
        }
    }
}

#[test]
fn pooling() {
    let overlapping = Pool2dParams {
        kernel: (3, 3),
        stride: (2, 1),
        padding: (1, 1),
        ceil_mode: true,
    };
    let x: &[usize] = &[5, 7, 33, 34];
    for window in [Pool2dParams::new(2), overlapping] {
        same_at_any_thread_count("max_pool2d", &[x], |t| max_pool2d(&t[0], &window));
        let params = AvgPool2dParams {
            window,
            ..AvgPool2dParams::new(1)
        };
        same_at_any_thread_count("avg_pool2d", &[x], |t| avg_pool2d(&t[0], &params));
    }
    let align_corners = false;
    for mode in [
        UpsampleMode::Nearest,
        UpsampleMode::Bilinear { align_corners },
    ] {
        same_at_any_thread_count("upsample2d", &[x], |t| {
            upsample2d(&t[0], (50, 71), None, mode)
        });
    }
}

#[test]
fn activations_and_dropout() {
    let x: &[usize] = &[70_001];
    for function in [Unary::Relu, Unary::Gelu, Unary::Mish] {
        same_at_any_thread_count("activation", &[x], |t| unary(&t[0], function));
    }
    same_at_any_thread_count("dropout", &[x], |t| {
        rng::manual_seed(9);
        dropout(&t[0], 0.3)
    });
}

#[test]
fn softmax_and_cross_entropy() {
    let x: &[usize] = &[900, 41];
    same_at_any_thread_count("softmax", &[x], |t| softmax(&t[0], 1));
    same_at_any_thread_count("softmax over rows", &[x], |t| softmax(&t[0], 0));
    same_at_any_thread_count("log_softmax", &[x], |t| log_softmax(&t[0], 1));
    for smoothing in [0.0, 0.1] {
        same_at_any_thread_count("cross entropy", &[x], |t| {
            let targets = Targets::Classes {
                labels: (0..900).map(|i| (i % 7 != 0).then_some(i % 41)).collect(),
                weights: None,
                smoothing,
            };
            cross_entropy_rows(&t[0], targets)
        });
    }
    let shapes: [&[usize]; 3] = [&[900, 60], &[341, 60], &[341]];
    same_at_any_thread_count("linear and cross entropy", &shapes, |t| {
        let targets = Targets::Classes {
            labels: (0..900).map(|i| (i % 7 != 0).then_some(i % 341)).collect(),
            weights: None,
            smoothing: 0.1,
        };
        linear_cross_entropy(&t[0], &t[1], Some(&t[2]), targets)
    });
}

#[test]
fn updates_in_place() {
    let step = || {
        let w = Var::from_tensor(&wave(50_001, 0.1)).unwrap();
        let grad = wave(50_001, 0.4);
        update::in_place::<f64>(&[&w], &grad, |tensors, grad| {
            for (w, g) in tensors[0].iter_mut().zip(grad) {
                *w -= 0.1 * g / (w.abs() + 1.0);
            }
        })
        .unwrap();
        w.to_vec1::<f64>().unwrap()
    };
    let one = on(1, step);
    assert!(one == on(2, step) && one == on(3, step));
}
