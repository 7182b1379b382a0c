//! The router as a client sees it, with everything that needs no database. Routes are taken from the OpenAPI document, so
//! that none is forgotten.

mod access;
mod alerts;
mod audit;
mod cache;
mod cycle;
mod dashboard;
mod database;
mod events;
mod health;
mod load_test;
mod manners;
mod memory;
mod openapi;
mod response_times;
mod sessions;
mod support;
