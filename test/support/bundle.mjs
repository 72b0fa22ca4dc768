// Runs once before all tests: constructs need the handlers' bundles.
export { bundle as default } from '../../bin/bundle.mjs';
