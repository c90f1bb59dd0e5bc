import { loadPageCases } from '../spec/pageCases.ts';
import { holdCasesOnKernel } from './heldCases.ts';

holdCasesOnKernel('pages', loadPageCases());
