export * from './contract';
export * from './documents';
export * from './errors';
export * from './judge';
export * from './ledger';
export * from './names';
export * from './profile';
