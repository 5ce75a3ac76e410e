//! Record batches, compression, and the segment format. Pure.
