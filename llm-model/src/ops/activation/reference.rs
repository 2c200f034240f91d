//! The definitions, on Burn's primitives.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use burn::backend::{Backend, tensor::FloatTensor};

use crate::Activation;

/// act(x), number by number; [`Activation`] has the formulas.
pub fn reference<B: Backend>(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    match activation {
        Activation::Silu => B::float_mul(x.clone(), B::sigmoid(x)),
        Activation::Gelu => {
            let erf = B::float_erf(B::float_mul_scalar(x.clone(), FRAC_1_SQRT_2.into()));
            B::float_mul_scalar(B::float_mul(x, B::float_add_scalar(erf, 1.0.into())), 0.5.into())
        }
        Activation::GeluTanh => {
            let cube = B::float_mul(B::float_mul(x.clone(), x.clone()), x.clone());
            let inner = B::float_add(x.clone(), B::float_mul_scalar(cube, 0.044_715.into()));
            let tanh = B::float_tanh(B::float_mul_scalar(inner, (2.0 / PI).sqrt().into()));
            B::float_mul_scalar(B::float_mul(x, B::float_add_scalar(tanh, 1.0.into())), 0.5.into())
        }
        Activation::GeluQuick => B::float_mul(x.clone(), B::sigmoid(B::float_mul_scalar(x, 1.702.into()))),
        Activation::Relu => B::relu(x),
        Activation::ReluSquared => {
            let x = B::relu(x);
            B::float_mul(x.clone(), x)
        }
    }
}

/// cap · tanh(x / cap).
pub fn softcap_reference<B: Backend>(x: FloatTensor<B>, cap: f64) -> FloatTensor<B> {
    B::float_mul_scalar(B::float_tanh(B::float_mul_scalar(x, (1.0 / cap).into())), cap.into())
}
