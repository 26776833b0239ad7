pub(super) use super::unsigned::Unsigned as Sinch;
