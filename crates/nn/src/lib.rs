#![doc = include_str!("../README.md")]

mod activation;
mod attention;
mod attention_pooling;
mod batch_norm;
mod buffer;
mod conv1d;
mod conv2d;
mod conv_transpose2d;
mod defaults;
mod dim;
mod dropout;
mod embedding;
mod flatten;
mod fused;
mod layer_norm;
mod linear;
mod loss;
mod multihead_attention;
mod pool2d;
mod rnn;
mod sequential;
mod sinusoidal_positions;
mod size2;
mod spectral_norm;
mod summary;
mod transformer;
mod upsample;

pub use activation::Activation;
pub use attention::{Attention, Score};
pub use attention_pooling::AttentionPooling;
pub use batch_norm::{BatchNorm1d, BatchNorm2d, BatchNormConfig};
pub use conv_transpose2d::{ConvTranspose2d, ConvTranspose2dConfig};
pub use conv1d::{Conv1d, Conv1dConfig, Padding1d};
pub use conv2d::{Conv2d, Conv2dConfig, Padding, conv2d};
pub use dropout::Dropout;
pub use embedding::{Embedding, EmbeddingConfig};
pub use flatten::{Flatten, FlattenDims};
pub use layer_norm::{LayerNorm, LayerNormConfig};
pub use linear::{Linear, LinearConfig, linear};
pub use loss::{
    BceWithLogitsLoss, CrossEntropyLoss, MseLoss, Reduction, binary_cross_entropy_with_logits,
    cross_entropy, mse_loss,
};
pub use mapsto_tensor::ops::{AttentionMask, Nonlinearity, PadMode, UpsampleMode};
pub use multihead_attention::{KeyValue, MultiheadAttention, MultiheadAttentionConfig};
pub use pool2d::{AvgPool2d, MaxPool2d};
pub use rnn::{
    AttentionDecoder, AttentionDecoderConfig, CellConfig, Gru, GruCell, Lstm, LstmCell, LstmState,
    RecurrentConfig, RecurrentLayer, Rnn, RnnCell,
};
pub use sequential::{Child, Sequential};
pub use sinusoidal_positions::SinusoidalPositions;
pub use size2::Size2;
pub use spectral_norm::{SpectralNorm, Weighted};
pub use summary::{Summary, SummaryPart, SummaryRow, summary};
pub use transformer::{
    DecoderStep, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder,
    TransformerEncoderLayer, TransformerLayerConfig,
};
pub use upsample::{Upsample, UpsampleTo};
