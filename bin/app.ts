import { App } from 'aws-cdk-lib';
import { FlightsStack } from '../examples/flights/stack';

// The example app: what `npx cdk deploy` deploys, and what `npm start` runs on this machine.
const app = new App();
new FlightsStack(app, 'PerennialFlights');
