//! Recurrent layers and cells.

use super::checks::{Row, conform};
use mapsto_nn::{
    CellConfig, Gru, GruCell, Lstm, LstmCell, Nonlinearity, RecurrentConfig, RecurrentLayer, Rnn,
    RnnCell,
};
use mapsto_tensor::ops::{Order, Recurrence};
use mapsto_tensor::{ModuleT, Result, Tensor};

#[test]
fn recurrent_layers() {
    let deep = RecurrentConfig {
        num_layers: 2,
        batch_first: true,
        dropout: 0.5,
        bidirectional: true,
        bias: false,
        ..RecurrentConfig::new(3, 4)
    };
    let row = Row::new(
        "lstm",
        &[2, 5, 3],
        &[2, 5, 8],
        &[
            ("weight_hh_l0", &[16, 4]),
            ("weight_hh_l0_reverse", &[16, 4]),
            ("weight_hh_l1", &[16, 4]),
            ("weight_hh_l1_reverse", &[16, 4]),
            ("weight_ih_l0", &[16, 3]),
            ("weight_ih_l0_reverse", &[16, 3]),
            ("weight_ih_l1", &[16, 8]),
            ("weight_ih_l1_reverse", &[16, 8]),
        ],
    );
    conform(row.random(), |vb| Lstm::new(&deep, vb));
    let parameters: &[(&str, &[usize])] = &[
        ("bias_hh_l0", &[12]),
        ("bias_ih_l0", &[12]),
        ("weight_hh_l0", &[12, 4]),
        ("weight_ih_l0", &[12, 3]),
    ];
    let plain = RecurrentConfig::new(3, 4);
    conform(Row::new("gru", &[5, 2, 3], &[5, 2, 4], parameters), |vb| {
        Gru::new(&plain, vb)
    });
    conform(
        Row::new("gru of one sequence", &[5, 3], &[5, 4], parameters),
        |vb| Gru::new(&plain, vb),
    );
    let row = Row::new(
        "rnn",
        &[5, 2, 3],
        &[5, 2, 4],
        &[
            ("bias_hh_l0", &[4]),
            ("bias_ih_l0", &[4]),
            ("weight_hh_l0", &[4, 4]),
            ("weight_ih_l0", &[4, 3]),
        ],
    );
    conform(row, |vb| Rnn::new(&plain, Nonlinearity::Tanh, vb));
}

/// One layer of a stack, its states begun with zeros.
#[derive(Debug, Clone)]
struct FromZeros(RecurrentLayer);

impl ModuleT for FromZeros {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let zeros = self.0.zeros(x)?;
        Ok(self.0.forward(x, &zeros, &Order::default(), train)?.0)
    }
}

#[test]
fn one_layer_of_a_stack() {
    let row = Row::new(
        "recurrent layer",
        &[5, 2, 3],
        &[5, 2, 4],
        &[
            ("bias_hh_l2", &[12]),
            ("bias_ih_l2", &[12]),
            ("weight_hh_l2", &[12, 4]),
            ("weight_ih_l2", &[12, 3]),
        ],
    );
    conform(row.random(), |vb| {
        let layer = RecurrentLayer::new(Recurrence::Gru, &CellConfig::new(3, 4), "_l2", &vb)?;
        Ok(FromZeros(layer.weight_dropout(0.4)?))
    });
}

/// A cell's first two steps as a layer: from zeros, the weight of the state has no gradient.
#[derive(Debug, Clone)]
struct TwoSteps<C>(C, fn(&C, &Tensor) -> Result<Tensor>);

impl<C> ModuleT for TwoSteps<C> {
    fn forward_t(&self, x: &Tensor, _: bool) -> Result<Tensor> {
        (self.1)(&self.0, x)
    }
}

#[test]
fn recurrent_cells() {
    let plain = CellConfig::new(3, 4);
    let row = Row::new(
        "lstm cell",
        &[5, 3],
        &[5, 4],
        &[
            ("bias_hh", &[16]),
            ("bias_ih", &[16]),
            ("weight_hh", &[16, 4]),
            ("weight_ih", &[16, 3]),
        ],
    );
    conform(row, |vb| {
        let two: fn(&LstmCell, &Tensor) -> Result<Tensor> = |cell, x| {
            let first = cell.forward(x, None)?;
            Ok(cell.forward(x, Some(&first))?.h)
        };
        Ok(TwoSteps(LstmCell::new(&plain, vb)?, two))
    });
    let row = Row::new(
        "gru cell",
        &[3],
        &[4],
        &[
            ("bias_hh", &[12]),
            ("bias_ih", &[12]),
            ("weight_hh", &[12, 4]),
            ("weight_ih", &[12, 3]),
        ],
    );
    conform(row, |vb| {
        let two: fn(&GruCell, &Tensor) -> Result<Tensor> =
            |cell, x| cell.forward(x, Some(&cell.forward(x, None)?));
        Ok(TwoSteps(GruCell::new(&plain, vb)?, two))
    });
    let without = CellConfig {
        bias: false,
        ..plain
    };
    let row = Row::new(
        "rnn cell, no bias",
        &[5, 3],
        &[5, 4],
        &[("weight_hh", &[4, 4]), ("weight_ih", &[4, 3])],
    );
    conform(row, |vb| {
        let two: fn(&RnnCell, &Tensor) -> Result<Tensor> =
            |cell, x| cell.forward(x, Some(&cell.forward(x, None)?));
        Ok(TwoSteps(
            RnnCell::new(&without, Nonlinearity::Tanh, vb)?,
            two,
        ))
    });
}
