//! The thin layer between our statements and three drivers.
//!
//! A statement is written once, with `?` for its values. [`render`](render::render) turns the `?` into what the database expects,
//! [`Value`] says what stands there (times relative to *the database's* clock among them), and [`Row`] reads what
//! comes back. Everything in which the databases differ, other than whole statements, is named in [`Dialect`].

mod dialect;
mod render;
mod row;
mod value;

pub(crate) use dialect::Dialect;
pub(crate) use render::{Statement, render};
pub(crate) use row::Row;
pub(crate) use value::{Value, micros, values};
