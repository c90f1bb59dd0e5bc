import { loadUffdCases } from '../spec/pageCases.ts';
import { holdCasesOnKernel } from './heldCases.ts';

holdCasesOnKernel('userfaultfd', loadUffdCases());
