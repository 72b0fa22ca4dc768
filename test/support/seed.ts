import fc from 'fast-check';

// the same cases in every run, so that a suite is as green tomorrow as today; FC_SEED tries others
fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 1) });
