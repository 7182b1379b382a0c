//! A text with what it ran under.

use std::ffi::CString;
use std::rc::Rc;

use pg_pitcrew_capture::{Form, Typed};
use pgrx::prelude::*;

use super::trust::Path;
use super::user::Under;
use crate::capture;

/// A text to analyse and plan.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The text.
    pub(crate) text: CString,
    /// What it ran under; `None` for what only stands for executions: given texts, and normalised ones.
    pub(crate) ran: Option<Rc<Ran>>,
    /// What its user's executions begin with, where that is not the current role and no execution is known.
    pub(crate) under: Option<Rc<Under>>,
    /// Types of its parameters that were guessed (`repair`); 0 for the others.
    pub(crate) guessed: Rc<[u32]>,
}

/// What one execution ran under.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `search_path`.
    pub(crate) search_path: CString,
    /// Its user's own settings for the planner, later ones over earlier ones.
    pub(crate) settings: Rc<Vec<(CString, CString)>>,
    /// Its parameters.
    pub(crate) values: Vec<Typed>,
    /// The current role may see its literals.
    pub(crate) is_legible: bool,
}

impl Source {
    /// A text alone.
    pub(crate) fn plain(text: CString) -> Self {
        Self {
            text,
            ran: None,
            under: None,
            guessed: Rc::from([]),
        }
    }

    /// Whether what the text says may be shown: what was given may, and what pg_stat_statements shows.
    pub(crate) fn is_legible(&self) -> bool {
        self.ran.as_ref().is_none_or(|ran| ran.is_legible)
    }

    /// Under whose `search_path` it is planned.
    pub(crate) fn path(&self) -> Path {
        if self.ran.is_none() && self.under.is_none() {
            Path::Own
        } else {
            Path::Captured
        }
    }

    fn values(&self) -> &[Typed] {
        self.ran.as_ref().map_or(&[], |ran| &ran.values)
    }

    /// Types of the parameters that are known to be what they are, in the current memory context; 0 for the others, which
    /// analysis finds out.
    pub(super) fn types(&self) -> (*mut pg_sys::Oid, i32) {
        let known = |(type_oid, _): &Typed| Form::of(*type_oid).map_or(0, |_| *type_oid);
        let mut all: Vec<u32> = self.values().iter().map(known).collect();
        if all.is_empty() {
            all.extend(&*self.guessed);
        }
        if all.is_empty() {
            return (std::ptr::null_mut(), 0);
        }
        // SAFETY: fresh memory of that many numbers.
        unsafe {
            let types = pg_sys::palloc(all.len() * size_of::<pg_sys::Oid>()).cast::<pg_sys::Oid>();
            for (place, type_oid) in all.iter().enumerate() {
                types.add(place).write((*type_oid).into());
            }
            (types, all.len() as i32)
        }
    }

    /// The parameters that the planner takes as constants, in the current memory context; null where there are none.
    pub(super) fn bound(&self) -> pg_sys::ParamListInfo {
        let values = self.values();
        if values.is_empty() {
            return std::ptr::null_mut();
        }
        // SAFETY: the list has room for so many.
        unsafe {
            let list = pg_sys::makeParamList(values.len() as i32);
            for (place, (type_oid, value)) in values.iter().enumerate() {
                let parameter = &mut *(*list).params.as_mut_ptr().add(place);
                // One without a type is left as it is: the planner then plans for any value.
                *parameter = pg_sys::ParamExternData {
                    value: pg_sys::Datum::from(0_usize),
                    isnull: true,
                    pflags: 0,
                    ptype: pg_sys::InvalidOid,
                };
                if Form::of(*type_oid).is_none() {
                    continue;
                }
                let known = match value {
                    None => continue,
                    Some(None) => None,
                    Some(Some(bytes)) => match capture::datum(*type_oid, bytes) {
                        None => continue,
                        datum => datum,
                    },
                };
                parameter.isnull = known.is_none();
                parameter.value = known.unwrap_or(parameter.value);
                parameter.pflags = pg_sys::PARAM_FLAG_CONST as u16;
                parameter.ptype = (*type_oid).into();
            }
            list
        }
    }
}
