//! One walk over a model's parameters, by their published names: what loading, saving, optimising and averaging share.

use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use std::fmt::Display;

/// A tensor of a model, of whatever rank.
#[derive(Debug)]
pub enum Parameter<'a> {
    /// Biases, norms.
    Vector(&'a mut Tensor<1>),
    /// Projections and embeddings.
    Matrix(&'a mut Tensor<2>),
    /// Convolutions.
    Cube(&'a mut Tensor<3>),
}

impl Parameter<'_> {
    /// Sizes of the tensor.
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Self::Vector(t) => t.dims().to_vec(),
            Self::Matrix(t) => t.dims().to_vec(),
            Self::Cube(t) => t.dims().to_vec(),
        }
    }

    /// The values in row-major order.
    pub fn values(&self) -> Vec<f32> {
        vector(match self {
            Self::Vector(t) => t.to_data(),
            Self::Matrix(t) => t.to_data(),
            Self::Cube(t) => t.to_data(),
        })
    }

    /// Changes the values, row-major, where they are; they are copied only if somebody else holds the tensor, or they lie on
    /// another device.
    pub fn update(&mut self, change: impl FnOnce(&mut [f32])) {
        match self {
            Self::Vector(t) => update(t, change),
            Self::Matrix(t) => update(t, change),
            Self::Cube(t) => update(t, change),
        }
    }

    /// Puts other values of the same number in place, on `device`; with `trained`, gradients will be kept for them.
    pub fn set(&mut self, values: Vec<f32>, device: &Device, trained: bool) {
        let data = TensorData::new(values, self.shape());
        match self {
            Self::Vector(t) => **t = Tensor::from_data(data, device).set_require_grad(trained),
            Self::Matrix(t) => **t = Tensor::from_data(data, device).set_require_grad(trained),
            Self::Cube(t) => **t = Tensor::from_data(data, device).set_require_grad(trained),
        }
    }

    /// Takes the gradient out, if there is one: row-major values.
    pub fn take_gradient(&self, gradients: &mut Gradients) -> Option<Vec<f32>> {
        Some(vector(match self {
            Self::Vector(t) => t.grad_remove(gradients)?.into_data(),
            Self::Matrix(t) => t.grad_remove(gradients)?.into_data(),
            Self::Cube(t) => t.grad_remove(gradients)?.into_data(),
        }))
    }
}

/// Values as they lie there, which are only copied if they are no floats of ours.
fn vector(data: TensorData) -> Vec<f32> {
    if data.dtype() == DType::F32 {
        return data.try_into_vec().unwrap_or_default();
    }
    data.iter::<f32>().collect()
}

fn update<const D: usize>(tensor: &mut Tensor<D>, change: impl FnOnce(&mut [f32])) {
    let (shape, device, trained) = (tensor.dims(), tensor.device(), tensor.is_require_grad());
    // Taken out, so that nobody else holds the values.
    let taken = std::mem::replace(tensor, Tensor::empty([0; D], &device));
    let mut values = vector(taken.into_data());
    change(&mut values);
    *tensor = Tensor::from_data(TensorData::new(values, shape), &device).set_require_grad(trained);
}

/// A part of a model that has parameters.
pub trait Parameters {
    /// Shows every parameter to the visitor, in a fixed order, under its published name.
    fn walk(&mut self, visitor: &mut Visitor<'_>);
}

/// Carries the path through the walk.
pub struct Visitor<'f> {
    path: String,
    found: &'f mut dyn FnMut(&str, Parameter<'_>),
}

impl<'f> Visitor<'f> {
    /// A visitor that starts at the root.
    pub fn new(found: &'f mut dyn FnMut(&str, Parameter<'_>)) -> Self {
        Self { path: String::new(), found }
    }

    /// Goes into a part.
    pub fn enter(&mut self, name: impl Display, part: &mut impl Parameters) {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(&name.to_string());
        part.walk(self);
        self.path.truncate(length);
    }

    /// Shows a parameter.
    pub fn show(&mut self, name: &str, parameter: Parameter<'_>) {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        (self.found)(&self.path, parameter);
        self.path.truncate(length);
    }
}

/// Calls `found` for every parameter of `part`.
pub fn each_parameter(part: &mut impl Parameters, mut found: impl FnMut(&str, Parameter<'_>)) {
    part.walk(&mut Visitor::new(&mut found));
}

/// Moves all parameters to a device; on one with autodiff they become leaves that gradients are kept for.
pub fn move_to(part: &mut impl Parameters, device: &Device) {
    let trained = device.is_autodiff();
    each_parameter(part, |_, mut p| {
        let values = p.values();
        p.set(values, device, trained);
    });
}
