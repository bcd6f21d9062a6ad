//! `ParamStore`: what new parameters are, who trains, and what loading changes.
#![allow(clippy::unwrap_used)]

use candle_nn::Init;
use mapsto_tensor::{
    CheckpointError, DType, Device, ParamKind, ParamStore, StateDict, Tensor, backward,
    init::Initializer,
};

const UNIFORM: Init = Init::Uniform { lo: -1.0, up: 1.0 };

fn store() -> ParamStore {
    ParamStore::new(DType::F32, &Device::Cpu).with_seed(42)
}

fn make(store: &ParamStore, name: &str, shape: &[usize]) -> Tensor {
    store.root().get_with_hints(shape, name, UNIFORM).unwrap()
}

fn values(store: &ParamStore, name: &str) -> Vec<f32> {
    let var = store.get(name).unwrap();
    var.flatten_all().unwrap().to_vec1().unwrap()
}

fn dict(entries: &[(&str, &[f64])]) -> StateDict {
    let tensor = |values: &[f64]| Tensor::new(values, &Device::Cpu).unwrap();
    entries
        .iter()
        .map(|(name, v)| ((*name).to_owned(), tensor(v)))
        .collect()
}

#[test]
fn a_new_value_depends_on_seed_and_name_alone() {
    let (first, second) = (store(), store());
    make(&first, "a.weight", &[40]);
    make(&first, "b.weight", &[40]);
    make(&second, "b.weight", &[40]);
    make(&second, "c.weight", &[3]);
    make(&second, "a.weight", &[40]);
    for name in ["a.weight", "b.weight"] {
        assert_eq!(values(&first, name), values(&second, name));
    }
    assert_ne!(values(&first, "a.weight"), values(&first, "b.weight"));
    let other = store().with_seed(43);
    make(&other, "a.weight", &[40]);
    assert_ne!(values(&first, "a.weight"), values(&other, "a.weight"));
}

#[test]
fn drawing_anew_starts_from_seed_and_name_again() {
    let store = store();
    make(&store, "w", &[6, 5]);
    store.init("w", &Initializer::xavier_uniform()).unwrap();
    let drawn = values(&store, "w");
    store.init("w", &Initializer::Constant(2.5)).unwrap();
    assert_eq!(values(&store, "w"), [2.5; 30]);
    store.init("w", &Initializer::xavier_uniform()).unwrap();
    assert_eq!(values(&store, "w"), drawn);
    let message = store.init("v", &Initializer::Eye).unwrap_err().to_string();
    assert!(
        message.contains("\"v\"") && message.contains("it holds w"),
        "{message}"
    );
}

#[test]
fn candles_initialisers_are_sampled_as_candle_documents_them() {
    let store = store();
    let vb = store.root();
    let spread = |init: Init, name: &str| {
        let tensor = vb.get_with_hints((400, 50), name, init).unwrap();
        let variance = tensor
            .sqr()
            .unwrap()
            .mean_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        (
            f64::from(variance),
            tensor
                .abs()
                .unwrap()
                .max_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap(),
        )
    };
    let close = |a: f64, b: f64| (a / b - 1.0).abs() < 0.05;
    let (variance, _) = spread(candle_nn::init::DEFAULT_KAIMING_NORMAL, "normal");
    assert!(close(variance, 2.0 / 50.0), "{variance}");
    let (variance, largest) = spread(candle_nn::init::DEFAULT_KAIMING_UNIFORM, "uniform");
    let bound = (6.0_f32 / 50.0).sqrt();
    assert!(close(variance, 2.0 / 50.0) && largest <= bound && largest > 0.99 * bound);
    let (variance, _) = spread(
        Init::Randn {
            mean: 0.0,
            stdev: 0.3,
        },
        "randn",
    );
    assert!(close(variance, 0.09), "{variance}");
    assert_eq!(spread(Init::Const(-2.0), "constant"), (4.0, 2.0));
}

#[test]
fn names_come_in_order_and_buffers_apart() {
    let store = store();
    let vb = store.root();
    candle_nn::batch_norm(3, 1e-5, vb.pp("norm")).unwrap();
    candle_nn::linear(3, 2, vb.pp("fc")).unwrap();
    candle_nn::linear(3, 2, vb.pp("a")).unwrap();
    make(&store, "norm.num_batches_tracked", &[1]);
    let expected = [
        "a.bias",
        "a.weight",
        "fc.bias",
        "fc.weight",
        "norm.bias",
        "norm.num_batches_tracked",
        "norm.running_mean",
        "norm.running_var",
        "norm.weight",
    ];
    assert_eq!(store.names(), expected);
    let trainable: Vec<String> = store
        .trainable()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let without_buffers = expected
        .iter()
        .filter(|n| !n.contains("running") && !n.contains("num_"));
    assert_eq!(trainable, without_buffers.copied().collect::<Vec<_>>());
}

#[test]
fn frozen_parameters_get_no_gradient_and_layers_built_later_do_not_track_them() {
    let store = store();
    make(&store, "encoder.early", &[2]);
    store.freeze("encoder.");
    let late = make(&store, "encoder.late", &[2]);
    let other = make(&store, "head", &[2]);
    assert!(!late.track_op() && other.track_op());
    let unchecked = store.root().get_unchecked("encoder.late").unwrap();
    assert!(!unchecked.track_op());
    let trainable = |store: &ParamStore| -> Vec<String> {
        store
            .trainable()
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    };
    assert_eq!(trainable(&store), ["head"]);
    let loss = (late * other).unwrap().sum_all().unwrap();
    let gradients = backward(&loss, &store).unwrap();
    gradients.audit().unwrap();
    assert_eq!(
        gradients.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        ["head"]
    );

    store.unfreeze("encoder");
    assert_eq!(
        trainable(&store),
        ["head"],
        "another prefix takes nothing back"
    );
    store.unfreeze("encoder.");
    assert_eq!(trainable(&store), ["encoder.early", "encoder.late", "head"]);
    assert!(make(&store, "encoder.late", &[2]).track_op());
}

#[test]
fn freezing_before_building_changes_no_value() {
    let (free, frozen) = (store(), store());
    frozen.freeze("w");
    make(&free, "w", &[9]);
    make(&frozen, "w", &[9]);
    assert_eq!(values(&free, "w"), values(&frozen, "w"));
}

#[test]
fn a_path_asked_for_twice_is_shared_and_must_keep_its_shape() {
    let store = store();
    let (first, second) = (make(&store, "tied", &[2, 3]), make(&store, "tied", &[2, 3]));
    let loss = (first * second).unwrap().sum_all().unwrap();
    let gradients = backward(&loss, &store).unwrap();
    let twice: Vec<f32> = values(&store, "tied").iter().map(|v| 2.0 * v).collect();
    let gradient = gradients.get("tied").unwrap().flatten_all().unwrap();
    assert_eq!(gradient.to_vec1::<f32>().unwrap(), twice);
    let error = store
        .root()
        .get_with_hints((3, 2), "tied", UNIFORM)
        .unwrap_err();
    let message = error.to_string();
    for word in ["\"tied\"", "[2, 3]", "[3, 2]"] {
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn inserting_copies_and_refuses_a_taken_name() {
    let store = store();
    let value = Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap();
    let var = store.insert("w", &value, ParamKind::Parameter).unwrap();
    var.set(&value.zeros_like().unwrap()).unwrap();
    assert_eq!(value.to_vec1::<f32>().unwrap(), [1.0, 2.0]);
    store.insert("state", &value, ParamKind::Buffer).unwrap();
    assert_eq!(store.trainable().len(), 1);
    let error = store.insert("w", &value, ParamKind::Buffer).unwrap_err();
    assert!(error.to_string().contains("\"w\""), "{error}");
}

#[test]
fn loading_casts_to_the_dtype_of_the_store() {
    let store = store();
    let handed_out = make(&store, "w", &[2]);
    let report = store
        .load_state_dict(&dict(&[("w", &[0.1, 2.0])]), true)
        .unwrap();
    assert!(report.is_exact());
    assert_eq!(values(&store, "w"), [0.1, 2.0]);
    // The layer that was built before sees the new values.
    assert_eq!(handed_out.to_vec1::<f32>().unwrap(), [0.1, 2.0]);
    assert_eq!(store.get("w").unwrap().dtype(), DType::F32);
}

#[test]
fn strict_loading_wants_exactly_the_same_names() {
    let store = store();
    make(&store, "a", &[2]);
    make(&store, "b", &[2]);
    let before = (values(&store, "a"), values(&store, "b"));
    let tensors = dict(&[("a", &[5.0, 6.0]), ("c", &[7.0])]);
    let error = store.load_state_dict(&tensors, true).unwrap_err();
    let CheckpointError::Mismatch(report) = &error else {
        panic!("{error}");
    };
    assert_eq!(
        (&report.missing[..], &report.unexpected[..]),
        (&["b".to_owned()][..], &["c".to_owned()][..])
    );
    assert!(
        error.to_string().contains("missing b; unexpected c"),
        "{error}"
    );
    assert_eq!((values(&store, "a"), values(&store, "b")), before);

    let report = store.load_state_dict(&tensors, false).unwrap();
    assert_eq!((report.missing.len(), report.unexpected.len()), (1, 1));
    assert_eq!(
        (values(&store, "a"), values(&store, "b")),
        (vec![5.0, 6.0], before.1)
    );
}

#[test]
fn a_shape_that_differs_changes_nothing_also_if_not_strict() {
    let store = store();
    make(&store, "a", &[2]);
    make(&store, "b", &[2]);
    let before = values(&store, "a");
    let tensors = dict(&[("a", &[5.0, 6.0]), ("b", &[1.0, 2.0, 3.0])]);
    for strict in [true, false] {
        let error = store
            .load_state_dict(&tensors, strict)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("b is [2] in the model but [3] in the file"),
            "{error}"
        );
        assert_eq!(values(&store, "a"), before);
    }
}

#[test]
fn a_stores_own_tensors_can_be_loaded_into_it() {
    let store = store();
    make(&store, "a", &[3]);
    make(&store, "b", &[3]);
    let (a, b) = (values(&store, "a"), values(&store, "b"));
    store.load_state_dict(&store.state_dict(), true).unwrap();
    assert_eq!(
        (values(&store, "a"), values(&store, "b")),
        (a.clone(), b.clone())
    );
    let own = store.state_dict();
    let swapped = StateDict::from([
        ("a".into(), own["b"].clone()),
        ("b".into(), own["a"].clone()),
    ]);
    store.load_state_dict(&swapped, true).unwrap();
    assert_eq!((values(&store, "a"), values(&store, "b")), (b, a));
}

#[test]
fn a_state_dict_is_a_live_view_without_graph() {
    let store = store();
    make(&store, "w", &[2]);
    let live = store.state_dict();
    let kept = live["w"].copy().unwrap();
    let before = values(&store, "w");
    store
        .load_state_dict(&dict(&[("w", &[8.0, 9.0])]), true)
        .unwrap();
    assert_eq!(live["w"].to_vec1::<f32>().unwrap(), [8.0, 9.0]);
    assert_eq!(kept.to_vec1::<f32>().unwrap(), before);
    assert!(!live["w"].track_op());
}

#[test]
fn what_is_not_there_is_named() {
    let error = store().root().get_unchecked("nothing").unwrap_err();
    assert!(error.to_string().contains("\"nothing\""), "{error}");
    assert!(store().get("nothing").is_none());
}
