//! The few names that `torch.save` writes for tensors, and what a call of one makes.

use super::super::element::Element;
use super::super::safetensors_file::MOST_AXES;
use super::objects::{Callable, Id, Object, Storage, View};
use super::pickle::Machine;
use crate::shown;

/// Arguments of a call that are looked at.
const MOST_ARGUMENTS: usize = 8;

/// A name and what it stands for.
pub(super) fn callable(module: &str, name: &str) -> Result<Callable, String> {
    match (module, name) {
        ("collections", "OrderedDict") => Ok(Callable::OrderedDict),
        ("torch._utils", "_rebuild_tensor_v2") => Ok(Callable::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Ok(Callable::RebuildParameter),
        ("torch", class) => Element::of_storage(class).map(Callable::Storage).ok_or(()),
        _ => Err(()),
    }
    .map_err(|()| {
        format!(
            "it wants to call `{}.{}`, which no weights need; hint: nothing was run; do not open this file in Python, \
             and ask where it comes from",
            shown(module),
            shown(name)
        )
    })
}

impl Machine<'_> {
    /// A call of one of the known names.
    pub fn call(&mut self) -> Result<Id, String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Object::Callable(function) = *self.objects.get(function) else {
            return Err("it calls what is no function".to_owned());
        };
        let arguments = self.objects.tuple(arguments).ok_or("a call without a tuple of arguments")?;
        let arguments: Vec<Id> = arguments.iter().take(MOST_ARGUMENTS).copied().collect();
        match (function, arguments.as_slice()) {
            (Callable::OrderedDict, []) => Ok(self.objects.add(Object::Dict(Vec::new()))),
            (Callable::RebuildTensor, [storage, offset, shape, strides, ..]) => {
                let view = self.view(*storage, *offset, *shape, *strides)?;
                Ok(self.objects.add(Object::Tensor(Box::new(view))))
            }
            (Callable::RebuildParameter, [tensor, ..]) => Ok(*tensor),
            _ => Err("a call has other arguments than `torch.save` writes".to_owned()),
        }
    }

    /// A checked view of a storage.
    fn view(&self, storage: Id, offset: Id, shape: Id, strides: Id) -> Result<View, String> {
        let Object::Storage(storage) = *self.objects.get(storage) else {
            return Err("a tensor of what is no storage".to_owned());
        };
        let sizes = |id: Id| {
            let items = self.objects.tuple(id).filter(|items| items.len() <= MOST_AXES)?;
            items.iter().map(|i| self.objects.count(*i)).collect::<Option<Vec<usize>>>()
        };
        let view = self
            .objects
            .count(offset)
            .zip(sizes(shape))
            .zip(sizes(strides))
            .map(|((offset, shape), strides)| View { storage, offset, shape, strides });
        let view = view.ok_or("a tensor's sizes are no small tuple of counts")?;
        let holds = self.objects.storages.get(storage).map_or(0, |s| s.length);
        let count = view.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        let extent = view
            .shape
            .iter()
            .zip(&view.strides)
            .try_fold(view.offset, |end, (d, stride)| end.checked_add(d.saturating_sub(1).checked_mul(*stride)?));
        let within = match (count, extent) {
            (Some(0), Some(_)) => view.offset <= holds,
            (Some(count), Some(last)) => count <= holds && last < holds,
            _ => false,
        };
        if within && view.shape.len() == view.strides.len() {
            return Ok(view);
        }
        let View { offset, shape, strides, .. } = view;
        Err(format!("a tensor {shape:?} (offset {offset}, strides {strides:?}) does not fit its storage of {holds}"))
    }

    /// `("storage", type, key, place, length[, None])`, as `torch.save` names a storage.
    pub fn storage(&mut self, id: Id) -> Result<Object, String> {
        let fields = self.objects.tuple(id).ok_or("a storage without a description")?;
        let (kind, class, key, length) = match fields {
            [kind, class, key, _, length] => (*kind, *class, *key, *length),
            [kind, class, key, _, length, view] if matches!(self.objects.get(*view), Object::None) => {
                (*kind, *class, *key, *length)
            }
            _ => return Err("a storage is a view of another, which is not read".to_owned()),
        };
        let (Some("storage"), Object::Callable(Callable::Storage(element)), Some(key), Some(length)) =
            (self.objects.text(kind), self.objects.get(class), self.objects.text(key), self.objects.count(length))
        else {
            return Err("a storage is not described as `torch.save` does it".to_owned());
        };
        let storage = Storage { key: key.to_owned(), element: *element, length };
        let name = shown(key);
        let bytes = length.checked_mul(element.size());
        match self.known.get(key).and_then(|i| self.objects.storages.get(*i).map(|s| (*i, s))) {
            _ if bytes.is_none() => Err(format!("storage `{name}` has {length} numbers, more than a file can hold")),
            Some((i, known)) if known.element == storage.element && known.length == length => Ok(Object::Storage(i)),
            Some(_) => Err(format!("storage `{name}` is described in two ways")),
            None => {
                self.known.insert(storage.key.clone(), self.objects.storages.len());
                self.objects.storages.push(storage);
                Ok(Object::Storage(self.objects.storages.len() - 1))
            }
        }
    }
}
