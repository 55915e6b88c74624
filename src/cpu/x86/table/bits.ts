// LZCNT, BMI1, BMI2, ADX. SDM vol. 2, appendix A, tables.
import * as bits from '../../sem/bits-extended.ts';
import { type Row, row } from '../row.ts';
import { vex } from '../vex-row.ts';

export const BIT_ROWS: readonly Row[] = [
  ...row('f3 0f bc', 'tzcnt', 'Gv,Ev', bits.tzcnt),
  ...row('f3 0f bd', 'lzcnt', 'Gv,Ev', bits.lzcnt),
  ...row('66 0f 38 f6', 'adcx', 'Gy,Ey', bits.adcx),
  ...row('f3 0f 38 f6', 'adox', 'Gy,Ey', bits.adox),
  ...vex('lz.np.0f38.wig f2', 'andn', 'Gy,By,Ey', bits.andn),
  ...vex('lz.np.0f38.wig f3 /1', 'blsr', 'By,Ey', bits.blsr),
  ...vex('lz.np.0f38.wig f3 /2', 'blsmsk', 'By,Ey', bits.blsmsk),
  ...vex('lz.np.0f38.wig f3 /3', 'blsi', 'By,Ey', bits.blsi),
  ...vex('lz.np.0f38.wig f5', 'bzhi', 'Gy,Ey,By', bits.bzhi),
  ...vex('lz.f3.0f38.wig f5', 'pext', 'Gy,By,Ey', bits.pext),
  ...vex('lz.f2.0f38.wig f5', 'pdep', 'Gy,By,Ey', bits.pdep),
  ...vex('lz.f2.0f38.wig f6', 'mulx', 'Gy,By,Ey', bits.mulx),
  ...vex('lz.np.0f38.wig f7', 'bextr', 'Gy,Ey,By', bits.bextr),
  ...vex('lz.66.0f38.wig f7', 'shlx', 'Gy,Ey,By', bits.shlx),
  ...vex('lz.f3.0f38.wig f7', 'sarx', 'Gy,Ey,By', bits.sarx),
  ...vex('lz.f2.0f38.wig f7', 'shrx', 'Gy,Ey,By', bits.shrx),
  ...vex('lz.f2.0f3a.wig f0', 'rorx', 'Gy,Ey,Ib', bits.rorx),
];
