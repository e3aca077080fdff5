//! One walk over a model's parameters, by their published names: what loading, saving, optimising and averaging share.

use burn::tensor::{Device, Gradients, Tensor, TensorData};
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
        let data = match self {
            Self::Vector(t) => t.to_data(),
            Self::Matrix(t) => t.to_data(),
            Self::Cube(t) => t.to_data(),
        };
        data.iter::<f32>().collect()
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
        let data = match self {
            Self::Vector(t) => t.grad_remove(gradients)?.into_data(),
            Self::Matrix(t) => t.grad_remove(gradients)?.into_data(),
            Self::Cube(t) => t.grad_remove(gradients)?.into_data(),
        };
        Some(data.iter::<f32>().collect())
    }
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
