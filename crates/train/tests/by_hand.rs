//! A loop written by hand, with two optimizers, takes and restores snapshots as the trainer does.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use common::{Net, fingerprint, net};
use mapsto_optim::{Adam, Optim, Optimizer, Sgd};
use mapsto_tensor::rng::{self, Generator};
use mapsto_tensor::{ParamStore, backward};
use mapsto_train::{Objective, Position, Snapshot};

/// Two optimizers that take turns on two parts of a network, as a loop written by hand has them.
struct ByHand {
    store: ParamStore,
    net: Net,
    lower: Box<dyn Optimizer>,
    upper: Box<dyn Optimizer>,
}

impl ByHand {
    fn new(seed: u64) -> Self {
        let (store, net) = net(seed, 0.3);
        rng::manual_seed(seed);
        let part = |prefix: &str| -> Vec<_> {
            let all = store.trainable().into_iter();
            all.filter(|(name, _)| name.starts_with(prefix)).collect()
        };
        let adam = Adam {
            lr: 0.02,
            ..Adam::default()
        };
        let momentum = Sgd {
            lr: 0.1,
            momentum: 0.9,
            ..Sgd::default()
        };
        let lower = Optim::new(adam, part("fc1")).unwrap();
        let upper = Optim::new(momentum, part("fc2")).unwrap();
        Self {
            lower: Box::new(lower),
            upper: Box::new(upper),
            store,
            net,
        }
    }

    /// Trains from `start` until `steps` steps are done and says where it stands.
    fn train(&mut self, start: Position, steps: u64) -> Position {
        let mut here = start;
        while here.step < steps {
            for batch in common::shuffled(7, here.epoch).skip(here.batch) {
                if here.step == steps {
                    return here;
                }
                let output = self.net.compute_loss(&batch.unwrap(), true).unwrap();
                let mut grads = backward(&output.loss, &self.store).unwrap();
                let turn = if here.step.is_multiple_of(3) {
                    &mut self.lower
                } else {
                    &mut self.upper
                };
                turn.step(&mut grads).unwrap();
                here.step += 1;
                here.batch += 1;
            }
            (here.epoch, here.batch) = (here.epoch + 1, 0);
        }
        here
    }

    fn take(&self, position: Position) -> Snapshot {
        let optimizers: [(&str, &dyn Optimizer); 2] =
            [("lower", &*self.lower), ("upper", &*self.upper)];
        Snapshot::take(&self.store, &optimizers, position).unwrap()
    }

    fn restore(&mut self, snapshot: &Snapshot) -> mapsto_train::Result<Position> {
        snapshot.restore(
            &self.store,
            &mut [("lower", &mut *self.lower), ("upper", &mut *self.upper)],
        )
    }
}

#[test]
fn a_loop_written_by_hand_resumes_exactly_too() {
    let mut whole = ByHand::new(1);
    let end = whole.train(Position::default(), 20);
    let expected = fingerprint(&whole.take(end));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("by-hand");
    for steps in [1, 7, 12] {
        let mut first = ByHand::new(1);
        let here = first.train(Position::default(), steps);
        first.take(here).save(&file).unwrap();
        let mut second = ByHand::new(2);
        let start = second.restore(&Snapshot::load(&file).unwrap()).unwrap();
        assert_eq!(start, here);
        let end = second.train(start, 20);
        assert_eq!(
            fingerprint(&second.take(end)),
            expected,
            "after {steps} steps"
        );
    }
}

#[test]
fn a_snapshot_with_one_optimizer_that_does_not_fit_changes_none() {
    let mut donor = ByHand::new(1);
    let here = donor.train(Position::default(), 8);
    let mut snapshot = donor.take(here);
    // The upper optimizer is offered one tensor too many.
    let extra = donor.store.state_dict();
    snapshot.insert_tensors("upper", extra);
    let mut other = ByHand::new(2);
    let before = fingerprint(&other.take(Position::default()));
    rng::set_generator(Generator {
        seed: 2,
        counter: 0,
    });
    let error = other.restore(&snapshot).unwrap_err();
    assert!(
        matches!(&error, mapsto_train::Error::NotResumable { reason, .. } if reason.contains("\"upper\"")),
        "{error:?}"
    );
    assert_eq!(fingerprint(&other.take(Position::default())), before);
}
