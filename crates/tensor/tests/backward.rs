//! `backward`: gradients by name, detached, audited, and on deep graphs.
#![allow(clippy::unwrap_used)]

use mapsto_tensor::{
    DType, Device, Gradients, ParamKind, ParamStore, Tensor, Var, backward, ops,
    testing::assert_close, threads,
};

fn store() -> ParamStore {
    ParamStore::new(DType::F64, &Device::Cpu)
}

fn insert(store: &ParamStore, name: &str, values: &[f64]) -> Var {
    let value = Tensor::new(values, &Device::Cpu).unwrap();
    store.insert(name, &value, ParamKind::Parameter).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn gradients_come_by_name_in_order_and_free_of_the_graph() {
    let store = store();
    let (b, a) = (
        insert(&store, "b", &[1.0, 2.0]),
        insert(&store, "a", &[3.0, 4.0]),
    );
    let buffer = Tensor::new(&[5.0, 6.0], &Device::Cpu).unwrap();
    let buffer = store.insert("buffer", &buffer, ParamKind::Buffer).unwrap();
    let loss = ((a.as_tensor() * b.as_tensor()).unwrap() * buffer.as_tensor()).unwrap();
    let gradients = backward(&loss.sum_all().unwrap(), &store).unwrap();
    gradients.audit().unwrap();
    let found: Vec<_> = gradients
        .iter()
        .map(|(name, grad)| (name, values(grad)))
        .collect();
    assert_eq!(found, [("a", vec![5.0, 12.0]), ("b", vec![15.0, 24.0])]);
    assert!(gradients.iter().all(|(_, grad)| !grad.track_op()));
    assert!(gradients.missing().is_empty());
}

#[test]
fn a_loss_of_more_than_one_number_is_an_error_with_its_shape() {
    let store = store();
    let w = insert(&store, "w", &[1.0, 2.0, 3.0]);
    let error = backward(&w.sqr().unwrap(), &store).unwrap_err().to_string();
    assert!(error.contains("[3]") && error.contains("mean"), "{error}");
    // One number in any shape will do.
    let loss = w.sqr().unwrap().sum_all().unwrap().reshape((1, 1)).unwrap();
    assert_eq!(
        values(backward(&loss, &store).unwrap().get("w").unwrap()),
        [2.0, 4.0, 6.0]
    );
}

#[test]
fn a_parameter_that_an_op_cut_off_is_named() {
    let store = store();
    let (cut, kept) = (
        insert(&store, "cut", &[1.0, 2.0]),
        insert(&store, "kept", &[1.0, 2.0]),
    );
    insert(&store, "unused", &[0.0]);
    let p = candle_nn::ops::softmax_last_dim(&cut).unwrap();
    let loss = (p * kept.as_tensor()).unwrap().sum_all().unwrap();
    let gradients = backward(&loss, &store).unwrap();
    assert_eq!(gradients.missing(), ["cut", "unused"]);
    let message = gradients.audit().unwrap_err().to_string();
    assert!(
        message.contains("cut, unused") && !message.contains("kept"),
        "{message}"
    );

    store.freeze("unused");
    let p = ops::softmax(&cut, 0).unwrap();
    let loss = (p * kept.as_tensor()).unwrap().sum_all().unwrap();
    backward(&loss, &store).unwrap().audit().unwrap();
}

#[test]
fn a_gradient_that_is_not_finite_is_named() {
    for (start, is_finite) in [
        (0.0, false),
        (-1.0, false),
        (f64::INFINITY, true),
        (2.0, true),
    ] {
        let store = store();
        let (w, v) = (
            insert(&store, "w", &[1.0, start]),
            insert(&store, "v", &[1.0, 1.0]),
        );
        // The slope of the root is infinite at 0 and undefined below.
        let loss = (w.sqrt().unwrap().sum_all().unwrap() + v.sum_all().unwrap()).unwrap();
        let audit = backward(&loss, &store).unwrap().audit();
        match audit {
            Ok(()) => assert!(is_finite, "{start}"),
            Err(error) => {
                let message = error.to_string();
                assert!(
                    !is_finite && message.contains("gradient of w is not finite"),
                    "{message}"
                );
            }
        }
    }
}

#[test]
fn the_audit_of_other_dtypes_finds_what_is_not_finite() {
    let single = |value: f32| {
        let grad = Tensor::new(&[1.0, value], &Device::Cpu).unwrap();
        let grad = grad.to_dtype(DType::F16).unwrap();
        Gradients::from_iter([("w".to_owned(), grad)])
    };
    single(2.0).audit().unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        single(bad).audit().unwrap_err();
    }
    // Finite ones whose sum is not, in this dtype.
    let many = Tensor::full(100f32, 1 << 12, &Device::Cpu).unwrap();
    let many = many.to_dtype(DType::F16).unwrap();
    Gradients::from_iter([("w".to_owned(), many)])
        .audit()
        .unwrap();
}

#[test]
fn accumulation_adds_by_name_and_fills_what_was_missing() {
    let store = store();
    let (a, b) = (
        insert(&store, "a", &[1.0, 2.0]),
        insert(&store, "b", &[3.0, 4.0]),
    );
    insert(&store, "c", &[0.0]);
    let of = |loss: Tensor| backward(&loss.sum_all().unwrap(), &store).unwrap();
    let mut total = of(a.sqr().unwrap());
    assert_eq!(total.missing(), ["b", "c"]);
    total
        .accumulate(&of((a.as_tensor() * b.as_tensor()).unwrap()))
        .unwrap();
    assert_eq!(total.missing(), ["c"]);
    assert_eq!(values(total.get("a").unwrap()), [2.0 + 3.0, 4.0 + 4.0]);
    assert_eq!(values(total.get("b").unwrap()), [1.0, 2.0]);
    assert!(total.iter().all(|(_, grad)| !grad.track_op()));
    let other = Gradients::from_iter([("a".to_owned(), Tensor::new(1.0, &Device::Cpu).unwrap())]);
    total.accumulate(&other).unwrap_err();
}

#[test]
fn map_changes_every_gradient() {
    let store = store();
    let (a, b) = (insert(&store, "a", &[1.0]), insert(&store, "b", &[3.0]));
    let loss = (a.as_tensor() * b.as_tensor()).unwrap().sum_all().unwrap();
    let mut gradients = backward(&loss, &store).unwrap();
    gradients.map(|grad| grad * 0.5).unwrap();
    assert_eq!(values(gradients.get("a").unwrap()), [1.5]);
    assert_eq!(values(gradients.get("b").unwrap()), [0.5]);
}

#[test]
fn scale_multiplies_every_element_of_every_gradient() {
    let long = Tensor::arange(0.0, 40_001.0, &Device::Cpu).unwrap();
    let half = Tensor::new(&[2.0], &Device::Cpu)
        .unwrap()
        .to_dtype(DType::F16)
        .unwrap();
    let named = [
        ("half", half),
        ("turned", long.reshape((1, 40_001)).unwrap().t().unwrap()),
        ("long", long),
    ];
    let mut gradients = Gradients::from_iter(named.map(|(name, grad)| (name.to_owned(), grad)));
    gradients.scale(-1.5).unwrap();
    let expected: Vec<f64> = (0..40_001).map(|i| f64::from(i) * -1.5).collect();
    assert_eq!(values(gradients.get("long").unwrap()), expected);
    let turned = gradients.get("turned").unwrap();
    assert_eq!(turned.dims(), [40_001, 1]);
    assert_eq!(values(&turned.flatten_all().unwrap()), expected);
    let half = gradients.get("half").unwrap().to_dtype(DType::F64).unwrap();
    assert_eq!(values(&half), [-3.0]);
}

#[test]
fn a_constant_loss_reaches_nothing() {
    let store = store();
    insert(&store, "w", &[1.0]);
    let loss = Tensor::new(2.0, &Device::Cpu).unwrap();
    assert_eq!(backward(&loss, &store).unwrap().missing(), ["w"]);
}

#[test]
fn a_chain_of_100_000_nodes_fits_a_small_stack() {
    let small = std::thread::Builder::new().stack_size(2 << 20);
    let run = || {
        let store = store();
        let w = insert(&store, "w", &[1.0, -2.0]);
        let mut y = w.as_tensor().clone();
        for _ in 0..50_000 {
            y = y.neg().unwrap();
            y = (y + 1.0).unwrap();
        }
        let factors = Tensor::new(&[2.0, 3.0], &Device::Cpu).unwrap();
        let loss = (y * &factors).and_then(|y| y.sum_all()).unwrap();
        let gradients = backward(&loss, &store).unwrap();
        threads::on_deep_stack(|| drop(loss)).unwrap();
        assert_close("gradient", gradients.get("w").unwrap(), &factors, 0.0, 0.0);
    };
    small.spawn(run).unwrap().join().unwrap();
}

/// Our ops hand the gradients of variables past candle's store; none may get lost or count twice.
#[test]
fn a_weight_used_twice_by_our_ops_and_once_by_candles_gets_the_sum() {
    let store = store();
    let w = insert(&store, "w", &[1.0, 2.0]);
    let square = w.reshape((1, 2)).unwrap();
    let row = store.insert("row", &square, ParamKind::Parameter).unwrap();
    let once = |x: &[f64]| {
        let x = Tensor::new(x, &Device::Cpu)
            .unwrap()
            .reshape((1, 2))
            .unwrap();
        let y = ops::linear(&x, &row, None).unwrap();
        y.sum_all().unwrap()
    };
    let ours = (once(&[3.0, 4.0]) + once(&[50.0, 60.0])).unwrap();
    let candles = (row.as_tensor() * 700.0).unwrap().sum_all().unwrap();
    let loss = (ours + candles).unwrap();
    let gradients = backward(&loss, &store).unwrap();
    assert_eq!(values(gradients.get("row").unwrap()), [753.0, 764.0]);
    assert_eq!(gradients.missing(), ["w"]);
    // candle's own pass gets all of it too, and again after ours.
    let grads = loss.backward().unwrap();
    assert_eq!(values(grads.get(&row).unwrap()), [753.0, 764.0]);
}
