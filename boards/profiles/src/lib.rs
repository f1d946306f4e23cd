//! Board profiles: what each supported hash board is made of and may be asked to do
