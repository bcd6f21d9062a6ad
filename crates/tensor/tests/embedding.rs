//! Embeddings: rows and their gradients by hand, every kind of id, bits at any thread count.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_tensor::ops::embedding;
use mapsto_tensor::testing::wave;
use mapsto_tensor::{DType, Device, ParamKind, ParamStore, Tensor, Var, backward};

fn ids(values: &[u32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

#[test]
fn rows_come_by_number_and_gradients_add_up() {
    let weight = Var::new(&[[1f64, 2.0], [3.0, 4.0], [5.0, 6.0]], &Device::Cpu).unwrap();
    for padding in [None, Some(2)] {
        let y = embedding(&weight, &ids(&[2, 0, 2, 2], &[2, 2]), padding).unwrap();
        let expected = [[[5.0, 6.0], [1.0, 2.0]], [[5.0, 6.0], [5.0, 6.0]]];
        assert_eq!(y.to_vec3::<f64>().unwrap(), expected);
        let upstream = [[[1f64, 10.0], [2.0, 20.0]], [[3.0, 30.0], [4.0, 40.0]]];
        let loss = (y * Tensor::new(&upstream, &Device::Cpu).unwrap()).unwrap();
        let grads = loss.sum_all().unwrap().backward().unwrap();
        let last = if padding.is_some() {
            [0.0; 2]
        } else {
            [8.0, 80.0]
        };
        let grad = grads.get(&weight).unwrap().to_vec2::<f64>().unwrap();
        assert_eq!(grad, [[2.0, 20.0], [0.0; 2], last]);
    }
}

#[test]
fn ids_of_every_dtype_and_layout_name_the_same_rows() {
    let weight = wave((6, 3), 0.2);
    let plain = ids(&[1, 5, 0, 3, 3, 2], &[2, 3]);
    let expected = embedding(&weight, &plain, None).unwrap();
    let rows = |ids: &Tensor| {
        let y = embedding(&weight, ids, None).unwrap();
        y.to_vec3::<f64>().unwrap()
    };
    for dtype in [DType::U8, DType::I64] {
        let ids = plain.to_dtype(dtype).unwrap();
        assert_eq!(rows(&ids), expected.to_vec3::<f64>().unwrap());
    }
    let turned = expected.transpose(0, 1).unwrap();
    assert_eq!(rows(&plain.t().unwrap()), turned.to_vec3::<f64>().unwrap());
    let one = embedding(&weight, &ids(&[4], &[]), None).unwrap();
    let row = weight.get(4).unwrap();
    assert_eq!(one.to_vec1::<f64>().unwrap(), row.to_vec1::<f64>().unwrap());
    let none = embedding(&weight, &ids(&[], &[2, 0]), None).unwrap();
    assert_eq!(none.dims(), [2, 0, 3]);
}

#[test]
fn a_weight_used_twice_gets_both_gradients() {
    let store = ParamStore::new(DType::F64, &Device::Cpu);
    let weight = store.insert("w", &wave((3, 2), 0.1), ParamKind::Parameter);
    let weight = weight.unwrap();
    let first = embedding(&weight, &ids(&[0, 1], &[2]), None).unwrap();
    let second = embedding(&weight, &ids(&[1, 1], &[2]), None).unwrap();
    let ours = (first + second).unwrap().sum_all().unwrap();
    // candle's own ops on the same weight, as in a language model that shares it.
    let loss = (ours + weight.sum_all().unwrap()).unwrap();
    let grads = backward(&loss, &store).unwrap();
    let grad = grads.get("w").unwrap().to_vec2::<f64>().unwrap();
    assert_eq!(grad, [[2.0; 2], [4.0; 2], [1.0; 2]]);
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let (rows, width, count) = (900, 33, 5000);
    let numbers: Vec<u32> = (0..count).map(|i| i * i % 7 * (i % 128)).collect();
    let weight = wave((rows, width), 0.3).to_dtype(DType::F32).unwrap();
    let upstream = wave((count as usize, width), 0.7);
    let upstream = upstream.to_dtype(DType::F32).unwrap();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let weight = Var::from_tensor(&weight).unwrap();
            let y = embedding(&weight, &ids(&numbers, &[count as usize]), Some(0)).unwrap();
            let loss = (&y * &upstream).unwrap().sum_all().unwrap();
            let grads = loss.backward().unwrap();
            let grad = grads.get(&weight).unwrap().to_vec2::<f32>().unwrap();
            (y.to_vec2::<f32>().unwrap(), grad)
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}
